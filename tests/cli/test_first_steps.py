def test_list_names_every_backbone(run):
    result = run("list")
    assert result.exit_code == 0
    for name in (
        "efficientnet_lite0",
        "mini",
        "texture",
        "dino_vits8",
        "dinov2_vitl14_reg",
        "dinov3_vitb16",
        "cityscapes",
        "potsdam",
        "folder",
        "paper",
    ):
        assert name in result.stdout


def test_doctor_is_content(run, text):
    result = run("doctor")
    assert result.exit_code == 0, text(result)
    assert "All is well" in result.stdout


def test_doctor_of_a_run(run, text, segment_four, tmp_path):
    out = segment_four(tmp_path)
    result = run("doctor", out)
    assert result.exit_code == 0, text(result)
    assert "All is sound." in result.stdout
    (out / "labels" / "0.png.png").write_bytes(b"torn")
    result = run("doctor", out)
    assert result.exit_code == 1
    assert "labels/0.png.png: cannot be read" in result.stdout
    assert "primaps doctor --fix removes" in text(result)
    result = run("doctor", out, "--fix")
    assert result.exit_code == 1
    assert "Removed: 1" in result.stdout
    assert "label maps and certainties (1)" in result.stdout
    assert not (out / "labels" / "0.png.png").exists()


def test_doctor_of_nothing(run, text, tmp_path):
    assert run("doctor", tmp_path / "nowhere").exit_code == 2
    result = run("doctor", "--fix")
    assert result.exit_code == 2
    assert "Expected --fix with the folder RUN" in text(result)


def test_demo_says_what_the_photographs_are_and_where_its_views_lie(
    photographs, monkeypatch, tmp_path, run, text
):
    done = {}

    def write_views(folder):
        done["folder"] = folder
        return sorted(photographs.glob("*.png")), "Drawn landscapes."

    def segment(run, *, command, inputs):
        done.update(run=run, command=command, inputs=inputs)

    monkeypatch.setattr("primaps.data.demo_views.write_views", write_views)
    monkeypatch.setattr("primaps.pipeline.segment", segment)
    result = run("demo", "--out", tmp_path / "out", "--backbone", "texture", "--device", "cpu")
    assert result.exit_code == 0, text(result)
    assert result.stdout.startswith(f"Drawn landscapes.\nViews: {tmp_path / 'out-photographs'}\n")
    assert done["folder"] == tmp_path / "out-photographs"
    assert done["command"] == "demo"
    assert done["run"].folder.record["about"] == "Drawn landscapes."
    assert (done["run"].config.num_clusters, len(done["run"].images)) == (12, 4)
