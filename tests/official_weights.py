"""Random weights in the layouts of the official files, every entry away from its usual initial
value.
"""

import torch


def official_state(dim, patch, side, *, layer_scale=False, registers=0, depth=12, seed=0):
    """Of DINO and DINOv2, with or without layer scale and registers."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, scale=0.05, centre=0.0):
        return centre + scale * torch.randn(*shape, generator=generator)

    state = {
        "cls_token": draw(1, 1, dim),
        "pos_embed": draw(1, side * side + 1, dim, scale=0.5),
        "patch_embed.proj.weight": draw(dim, 3, patch, patch),
        "patch_embed.proj.bias": draw(dim),
        "norm.weight": draw(dim, scale=0.2, centre=1.0),
        "norm.bias": draw(dim),
    }
    if layer_scale:
        state["mask_token"] = draw(1, dim)
    if registers:
        state["register_tokens"] = draw(1, registers, dim, scale=0.5)
    for block in (f"blocks.{index}." for index in range(depth)):
        for name in ("norm1", "norm2"):
            state |= {
                f"{block}{name}.weight": draw(dim, scale=0.2, centre=1.0),
                f"{block}{name}.bias": draw(dim),
            }
        for name, rows, columns in (
            ("attn.qkv", 3, 1),
            ("attn.proj", 1, 1),
            ("mlp.fc1", 4, 1),
            ("mlp.fc2", 1, 4),
        ):
            state |= {
                f"{block}{name}.weight": draw(rows * dim, columns * dim),
                f"{block}{name}.bias": draw(rows * dim),
            }
        if layer_scale:
            state |= {f"{block}ls{i}.gamma": draw(dim, scale=0.2, centre=0.5) for i in (1, 2)}
    return state


def dinov3_state(dim, *, depth=12, seed=0):
    """Of DINOv3: no position embeddings, but periods; keys have a bias that is masked."""
    state = official_state(dim, 16, 1, layer_scale=True, registers=4, depth=depth, seed=seed)
    del state["pos_embed"]
    state["storage_tokens"] = state.pop("register_tokens")
    periods = 100.0 ** (torch.arange(16) / 16)
    state["rope_embed.periods"] = periods.to(torch.bfloat16).to(torch.float32)
    mask = torch.ones(3 * dim)
    mask[dim : 2 * dim] = 0
    for index in range(depth):
        state[f"blocks.{index}.attn.qkv.bias_mask"] = mask.clone()
    return state
