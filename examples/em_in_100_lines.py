"""PriMaPs-EM in a hundred lines of numpy and torch, to be read from top to bottom.

Hahn, Araslanov, Schaub-Meyer, Roth: Boosting Unsupervised Semantic Segmentation with Principal Mask
Proposals, TMLR 2024. What comes in are the features of photographs, (C, h, w) each, as a frozen
network gives them. What goes out are prototypes, a linear classifier of these features that nobody
has labelled anything for. These are the steps and settings by which `primaps segment` finds its
classes; its dense CRF, which draws outlines at the size of the photograph, is left out.

    python examples/em_in_100_lines.py ~/photos/*.jpg

writes a label map of each photograph into the folder `em-in-100-lines`. A class has one colour, the
same one in all photographs.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

# What is drawn at random has a source of its own each: the order of the photographs, the starts of
# k-means, and the tokens of every photograph.
ORDER, STARTS, TOKENS = (0, 0), (0, 1), (2, 2)


def source(seed, kind, number):
    """The source of one thing that is drawn at random."""
    state = np.random.SeedSequence([seed, *kind, number]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


# 1. Mask proposals (section 3.1): a photograph is taken apart along its principal directions.


def propose(features, threshold, stop=0.95):
    """(C, h, w) features -> (h, w) ids of mask proposals; 0 = none."""
    tokens = features.flatten(1).T.double()
    norms = tokens.norm(dim=1)
    free, masks = norms > 0, []
    while (~free).sum() < stop * len(free) and len(masks) < 254:
        rest = tokens[free]
        direction = torch.linalg.svd(rest - rest.mean(0), full_matrices=False).Vh[0]
        # The anchor is the free token most similar to the direction, whose sign means nothing ...
        likeness = (tokens @ direction / norms).abs().masked_fill(~free, -1)
        anchor = likeness.argmax()
        # ... and the proposal is every free token that is similar enough to the anchor.
        cosines = (tokens @ (tokens[anchor] / norms[anchor]) / norms).masked_fill(~free, 0)
        masks.append((cosines >= threshold * cosines.max()).view(features.shape[1:]))
        free = free & ~masks[-1].flatten()
    # A 3 x 3 median: a token stays where 5 of the 9 around it belong to the proposal.
    stack = torch.stack(masks).float()
    smooth = F.avg_pool2d(F.pad(stack, (1, 1, 1, 1), mode="reflect"), 3, stride=1) > 0.5
    return (smooth * torch.arange(1, len(masks) + 1)[:, None, None]).sum(0)


# 2. What a proposal looks like. From here on it has one vote, however large it is.


def describe(features, ids, generator, samples=4):
    """Mean feature, area and some random tokens of every proposal; mean square of the tokens."""
    (height, width), tokens = features.shape[1:], features.flatten(1).float()
    norms = tokens.norm(dim=0)
    unit, count = (tokens / norms.clamp_min(1e-12)).T, tokens.shape[1]
    # Proposals may be finer than tokens: a pixel belongs to the token that its centre lies in.
    rows = (2 * torch.arange(len(ids)) + 1) * height // (2 * len(ids))
    columns = (2 * torch.arange(len(ids[0])) + 1) * width // (2 * len(ids[0]))
    pairs = (ids.long() * count + rows[:, None] * width + columns).flatten()
    pixels = torch.bincount(pairs, minlength=(int(ids.max()) + 1) * count).view(-1, count)[1:]
    shares = pixels.float() * (count / ids.numel())
    shares = shares[shares.sum(1) >= 0.5]  # smaller than half a token is none
    areas = shares.sum(1)
    drawn = torch.multinomial(shares, samples, replacement=True, generator=generator)
    return shares @ unit / areas[:, None], areas, unit[drawn], norms.double().square().mean()


# 3. Where EM starts: spherical k-means of the proposals, the best of several starts.


def start(vectors, classes, generator, candidates=8):
    """Greedy k-means++: of some vectors far from all centres, the one that helps most is next."""
    chosen = [int(torch.multinomial(torch.ones(len(vectors)), 1, generator=generator))]
    distance = (1 - vectors @ vectors[chosen[0]]).clamp_min(0)
    for _ in range(classes - 1):
        drawn = torch.multinomial(distance.clamp_min(1e-12), candidates, True, generator=generator)
        after = torch.minimum(distance, (1 - vectors[drawn] @ vectors.T).clamp_min(0))
        best = int(after.sum(1).argmin())
        chosen.append(int(drawn[best]))
        distance = after[best]
    return vectors[chosen]


def kmeans(means, classes, seed, restarts=32):
    """(K, C) unit centres to which the proposals have the largest mean cosine."""
    vectors, found = F.normalize(means, dim=1), []
    for number in range(restarts):
        centres = start(vectors, classes, source(seed, STARTS, number))
        for _ in range(100):
            nearest, before = (vectors @ centres.T).argmax(1), centres
            sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
            centres = torch.where(sums.norm(dim=1, keepdim=True) > 1e-9, F.normalize(sums), before)
            if torch.equal(centres, before):
                break
        found.append((float((vectors @ centres.T).amax(1).mean()), -number, centres))
    return max(found)[2]


# 4. EM (section 3.2): a student learns what its slow teacher says of the proposals.


def fit(features, proposals, classes, seed=0, steps=150, rate=3e-3, gamma=2, momentum=0.98):
    """Features and proposals of all photographs -> (K, C) prototypes, those of the teacher."""
    order = torch.randperm(len(features), generator=source(seed, ORDER, 0)).tolist()
    each = [describe(features[i], proposals[i], source(seed, TOKENS, i)) for i in order]
    means, areas, tokens = (torch.cat([one[part] for one in each]) for part in range(3))
    square = torch.stack([one[3] for one in each]).mean()
    # Features get a length of 3, which sets how soft class probabilities are.
    scale = 3 / float((means.norm(dim=1).square().mean() * square).sqrt())
    sharpness = scale * float(square.sqrt())  # the same for unit features
    student = [kmeans(means, classes, seed).requires_grad_(), torch.ones(classes).requires_grad_()]
    teacher = [part.detach().clone() for part in student]
    adam = torch.optim.Adam(student, lr=rate)

    def prototypes(parts):
        return parts[1][:, None] * F.normalize(parts[0], dim=1)

    for step in range(steps):
        # E-step: class probabilities of the mean feature of every proposal, by the teacher.
        shares = (means @ (prototypes(teacher) * sharpness).T).softmax(1)
        # M-step: the student learns them; common classes count less (focal weights).
        logs = (tokens @ (prototypes(student) * sharpness).T).log_softmax(2)
        common = areas @ logs.detach().exp().mean(1) / areas.sum()
        losses = -(logs.mean(1) * shares) @ (1 - common).clamp(0, 1) ** gamma
        adam.zero_grad()
        ((areas @ losses) / areas.sum()).backward()
        adam.step()
        # The teacher follows: two copies, then a running mean of the students, up to the momentum.
        if step > 0 and step % 10 == 0:
            kept = 0 if step <= 20 else min(momentum, 1 - 10 / step)
            pairs = zip(teacher, student, strict=True)
            teacher = [kept * old + (1 - kept) * new.detach() for old, new in pairs]
    return prototypes(teacher) * scale


# 5. Label maps: the prototype with the largest inner product, at the size of the photograph.


def label_map(features, prototypes, size):
    """(C, h, w) features -> (H, W) class ids."""
    logits = torch.einsum("kc,chw->khw", prototypes, features.float())
    return F.interpolate(logits[None], size, mode="bilinear")[0].argmax(0)


if __name__ == "__main__":
    from PIL import Image

    import primaps as pm

    photographs = [Image.open(path).convert("RGB") for path in sys.argv[1:] or sys.exit(__doc__)]
    backbone = pm.load_backbone(device="cpu")
    maps = [backbone.extract(photograph) for photograph in photographs]
    fitted = fit(maps, [propose(each, backbone.threshold) for each in maps], classes=8)
    Path("em-in-100-lines").mkdir(exist_ok=True)
    for path, photograph, each in zip(sys.argv[1:], photographs, maps, strict=True):
        labels = label_map(each, fitted, photograph.size[::-1])
        picture = Image.fromarray(labels.numpy().astype(np.uint8))
        picture.putpalette(np.random.default_rng(1).integers(40, 256, 3 * 256).tolist())
        picture.save(Path("em-in-100-lines", Path(path).stem + ".png"))
