from primaps.engine.orders import Order, Task, scratch_of, staging_of


def test_orders_and_tasks_travel_as_json():
    order = Order("/place", "/plan", "/scratch", "cpu", {"kind": "a:B", "values": {"x": 1}})
    assert Order.from_json(order.as_json()) == order
    task = Task(3, ("ä.png",), {"b.png": "It ended the worker."})
    assert Task.from_json(task.as_json()) == task
    assert "\n" not in task.as_json()


def test_scratch_folders_are_the_shard_s_own():
    assert scratch_of("/scratch", 1) != scratch_of("/scratch", 2)
    assert scratch_of("/scratch", 1) == scratch_of("/scratch", 1)
    assert staging_of("/scratch", 1).parent == scratch_of("/scratch", 1)
