# %% [markdown]
# # Your first data set
#
# From a folder of photographs to an annotated data set, without a single label to begin with. It
# takes ten minutes to read and half a minute to compute, without a GPU.
#
# What happens, in order:
#
# 1. every photograph is divided into **mask proposals**: regions that look alike inside,
# 2. regions that look alike across all photographs become one **class**; classes are numbers at
#    first,
# 3. you **name** some regions, in plain words, and a second model follows your names,
# 4. the result is **exported** as COCO, which most training programs read.
#
# To follow along: `pip install 'primaps[demo]'`.

# %% [markdown]
# ## Photographs
#
# Use a folder of your own if you like. Here we take four photographs that come with scikit-image
# and are free to use. A class is something that comes up again and again, for which four
# photographs are too few; so each is cut into three views that overlap, which makes twelve.

# %%
from pathlib import Path

from matplotlib import pyplot as plt

import primaps as pm
from primaps.data.demo_views import SOURCES, write_views

free = [source for source in SOURCES if source.rights.endswith(("CC0", "public domain"))]
files, about = write_views(Path("photographs"), free)
print(about)

# %% [markdown]
# A small function of our own to see several pictures at once.


# %%
def grid(pictures, columns=4):
    """Show pictures in rows, each below its title."""
    rows = -(-len(pictures) // columns)
    _, axes = plt.subplots(
        rows, columns, figsize=(10, 8.4 / columns * rows), layout="constrained", squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        ax.imshow(picture)
        ax.set_title(title, fontsize=8)


photographs = {path.name: pm.read_image(path) for path in files}
grid(photographs)

# %% [markdown]
# ## One photograph
#
# A **backbone** is a network that describes every small patch of a photograph by some hundred
# numbers, its *features*. It is used as it is and never trained here. Patches with similar features
# are joined into mask proposals. What belongs to none stays grey in the picture.

# %%
backbone = pm.load_backbone(device="cpu")
image = photographs["coffee-left.png"]
features = backbone.extract(image)
proposals = pm.mask_proposals(image, features)
pm.show(image, proposals)

# %% [markdown]
# Wood, cup and coffee are told apart, and nobody said what these are. Proposals of one photograph
# know nothing of other photographs, though. That comes next.
#
# ## All photographs
#
# A `Segmenter` looks at the proposals of all photographs and divides them into classes. How many?
# We ask for eight, about two for each photograph. (`"auto"` would propose a number: four here, one
# for each photograph, which is sensible but coarse.) Everything is kept in the folder `run`, so
# that nothing is computed twice.

# %%
segmenter = pm.Segmenter(backbone, num_clusters=8, seed=0)
segmenter.fit("photographs", run_dir="run", progress=False)
pm.show(image, segmenter.predict(image))

# %% [markdown]
# A class is a number and a colour, the same one in all photographs. `write_labels` makes a label
# map of each of them, and a report.

# %%
from primaps.pipeline.named_labels import NamedLabels

segmenter.write_labels(progress=False)


def label_maps(folder):
    """All photographs with their classes painted over them."""
    labels, classes = NamedLabels(folder), pm.classes(folder)
    return {
        name: pm.overlay(photograph, labels.read(name), classes=classes)
        for name, photograph in photographs.items()
    }


before = label_maps("run")
grid(before)

# %% [markdown]
# Look closely, for this is as good as it gets without you:
#
# - The cat, the wooden table and the evening sky each have a class of their own, the same one in
#   every view.
# - The face is apart from the wall behind it, and the helmet from the suit.
# - But the rocket has the class of the sky, and the spoon is a part of the cup. Classes that were
#   found without names seldom are quite those that you have in mind.
#
# The report shows the same and much more: examples of each class, every photograph with zoom and
# opacity, and how certain the model is. In your own notebook it appears below the next cell; a page
# that only displays saved notebooks says where it lies instead.

# %%
pm.view(segmenter)

# %% [markdown]
# ## Name what you see
#
# Twenty looks mend most of that. `suggest` divides all proposals into groups of similar ones and
# asks for one of each, the largest group first: name it, and you have named what is like it.

# %%
from primaps import pipeline
from primaps.pipeline.suggesting import suggest

run = pipeline.reopen(Path("run"), {}, device="cpu")
suggestions = suggest(run, groups=20)
cards = {
    f"{row.image} {row.proposal}": pm.read_image(f"run/suggestions/{row.card}")
    for row in suggestions
}
grid(cards, columns=5)

# %% [markdown]
# Each card shows one proposal in colour and its surroundings in grey; above it stand the photograph
# and the number of the proposal in it. Now say what they are. In the studio (`primaps studio run`)
# you would type a name or press a key for each; here we write them down.
#
# - Use the words that you want to find in the data set.
# - Different parts may have one name: eye and fur are both *cat*.
# - What you cannot tell, leave out. We do so with the lights around the launch pad.
# - Give a name also to what you do not want, such as the blurred corner beside the cat. Then the
#   model knows it, and you can leave it out later.

# %%
names = {
    ("rocket-left.png", 1): "sky",
    ("cat-right.png", 3): "cat",
    ("coffee-right.png", 5): "table",
    ("coffee-right.png", 4): "cup",
    ("cat-below.png", 4): "background",
    ("coffee-right.png", 6): "cup",
    ("astronaut-below.png", 4): "wall",
    ("astronaut-right.png", 6): "space suit",
    ("rocket-left.png", 2): "tower",
    ("cat-right.png", 4): "cat",
    ("astronaut-below.png", 5): "helmet",
    ("astronaut-below.png", 8): "space suit",
    ("astronaut-right.png", 3): "face",
    ("astronaut-left.png", 2): "flag",
    ("rocket-left.png", 4): "rocket",
    ("coffee-right.png", 7): "spoon",
    ("coffee-left.png", 8): "cup",
    ("astronaut-right.png", 17): "face",
}

# %% [markdown]
# The names go into the column `class` of `run/suggestions.csv`. A spreadsheet would do as well.

# %%
import dataclasses

from primaps.outputs.suggestion_table import write_table
from primaps.pipeline.filled_suggestions import read_suggestions

filled = [
    dataclasses.replace(row, name=names.get((row.image, row.proposal), "")) for row in suggestions
]
Path("run/suggestions.csv").write_bytes(write_table(filled))
read = read_suggestions("run")
print(f"{read.said} proposals named, {read.empty} left out")
print("classes:", ", ".join(read.new_classes))

# %% [markdown]
# ## A model of your names
#
# `fit_with_names` makes a second model. Every proposal takes the name of the named proposal that it
# is most similar to, and the model learns from all of them, also from those of photographs in which
# you named nothing. It is a **candidate**: the run stays as it is until you accept.

# %%
from primaps.pipeline.named_fit import fit_with_names

candidate = fit_with_names(run)
after = label_maps(f"run/candidates/{candidate.number}")
compared = ["astronaut-right.png", "coffee-below.png", "rocket-right.png", "cat-below.png"]
grid(
    {f"before: {name}": before[name] for name in compared}
    | {f"after: {name}": after[name] for name in compared}
)

# %% [markdown]
# Rocket, towers and sky are apart, the spoon lies in the cup, and the space shuttle behind the
# astronaut counts as a rocket, though nobody named it. Not all is well: the shuttle ends too early,
# and the chin of the cat has become background.
#
# We accept. (`accept(run, None)` would take it back.) And we say that *background* is no class that
# we want: its pixels become unlabelled.

# %%
from primaps.pipeline.accepting import accept

accept(run, candidate.number)
classes = pm.classes("run", ignore=["background"])
for entry in classes.classes:
    print(entry.id, entry.name, "(ignored)" if entry.ignore else "")

# %% [markdown]
# The accepted model labels any photograph, also new ones.

# %%
segmenter = pm.Segmenter.load("run", device="cpu")
image = photographs["astronaut-right.png"]
pm.show(image, segmenter.predict(image, names=True), classes=classes)

# %% [markdown]
# ## Correct what is left
#
# A single proposal that a model gets wrong can be corrected where it lies. For the chin of the cat
# we look up the numbers of the proposals. (In the studio this is a click.)

# %%
import numpy as np

from primaps.outputs.label_files import read_label_image
from primaps.types import MaskProposals

name = "cat-below.png"
ids = read_label_image(Path("run/proposals/cat-below.png.png")).astype(np.int32)
found = MaskProposals(ids, np.zeros(ids.max(), np.float32))
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
pm.show(photographs[name], found, ax=axes)
for number in range(1, found.num_masks + 1):
    rows, columns = np.nonzero(ids == number)
    middle = len(rows) // 2
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axes.text(columns[middle], rows[middle], str(number), bbox=box)

# %%
from primaps.pipeline.named_labels import correct

lines = correct("run", [(name, 1, "cat"), (name, 8, "cat")])
print(f"{len(lines)} corrections")
grid({"before": after[name], "corrected": label_maps("run")[name]}, columns=2)

# %% [markdown]
# Corrections are kept in `run/corrections.jsonl` and count in everything that is exported.
#
# ## Export
#
# COCO is a folder with the photographs and one JSON file. Specks of less than a hundred pixels are
# left out. There are [twelve more formats](../how-to/export.md).

# %%
from primaps.pipeline.exporting import ExportSettings, export

exported = export(Path("run"), Path("dataset"), ExportSettings("coco", min_area=100))
print(f"{len(exported.images)} photographs, {len(exported.failures)} failures")

# %% [markdown]
# ## Read it back
#
# The proof of an export is that somebody else can read it: here the library of the format itself.

# %%
import contextlib

from pycocotools.coco import COCO

with contextlib.redirect_stdout(None):  # it would say how long it took
    coco = COCO("dataset/annotations/instances.json")
print(f"{len(coco.getImgIds())} photographs, {len(coco.getCatIds())} categories")
for category in coco.loadCats(coco.getCatIds()):
    regions = coco.getAnnIds(catIds=[category["id"]])
    print(f"{category['name']}: {len(regions)} regions")


# %%
def drawn(entry):
    """A photograph of the data set with its annotations, and nothing of the run."""
    photograph = pm.read_image(Path("dataset/images") / entry["file_name"])
    labels = np.full(photograph.shape[:2], 255, np.uint8)
    for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[entry["id"]])):
        labels[coco.annToMask(annotation) == 1] = annotation["category_id"] - 1
    return pm.overlay(photograph, labels, classes=classes)


grid({entry["file_name"]: drawn(entry) for entry in coco.loadImgs(coco.getImgIds())})

# %% [markdown]
# Twelve photographs with twelve kinds of things in them, and twenty looks of yours.
#
# ## And now?
#
# - The same with your own folder: `primaps segment ~/photos --out run`, then `primaps studio run`
#   in the browser, where naming goes by keys and correcting by clicks.
# - Better features make better classes: `pm.load_backbone("dinov2_vits14")`, where its weights can
#   be downloaded.
# - More photographs, more names: fifty looks are worth more than any setting.
