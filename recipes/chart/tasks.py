"""Write eyechart-mini: seven task sets on held-out scenes, in VLMEvalKit's TSV format.

python -m recipes.chart.tasks --out DIR [--seed 0]

Every file is complete: the first row of an image contains it, and later rows refer to that row's
index. An image has the same bytes in all files, so a codec encodes it once. At the end the command
prints a table of what it wrote.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.chart import ask_yesno
from recipes.chart.ask_caption import captions
from recipes.chart.asking import COCO_PROMPT, LETTERS, ChartQuestion, Maker, YesNoMaker, with_letter
from recipes.chart.balance import first_scenes
from recipes.chart.facts import ALL_KINDS, absent, clear
from recipes.chart.pictures import ChartScenes, choose_pictures, stored
from recipes.chart.questions import MAKERS, YES_NO
from recipes.chart.scene import Rng, Scene

Fields = dict[str, str]
CIRCULAR_STEP = 1_000_000  # MMBench: rotation k of question q has the index q + k * this
MME_ROUNDS = 20  # some question types leave out most images at random, for balance


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry:
    """One question with the image it is about."""

    scene: Scene
    ask: ChartQuestion


TaskEntries = list[TaskEntry]

# --- POPE -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KindCounts:
    """How often kinds occur, and how often pairs of them, in the chart's scenes."""

    alone: Counter[str]
    together: Counter[tuple[str, str]]


def count_kinds(edition: int) -> KindCounts:
    """Count kinds and pairs of kinds over the first scenes of a test edition."""
    alone: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for scene in first_scenes("test", edition):
        kinds = sorted({thing.kind for thing in scene.things})
        alone.update(kinds)
        together.update((one, other) for one in kinds for other in kinds if one != other)
    return KindCounts(alone, together)


def pope_entries(
    scenes: Sequence[Scene], rng: Rng, counts: KindCounts, each: int = 2
) -> list[TaskEntry]:
    """POPE's sampling: `each` present kinds an image and as many absent ones for every split.

    random: any absent kind. popular: the most frequent absent ones. adversarial: the absent ones
    that most often occur together with the present ones. Present kinds belong to all three splits.
    An absent kind that two splits choose is asked once and belongs to both, as in POPE's file.
    """
    entries = []
    for scene in scenes:
        present = sorted({thing.kind for thing in clear(scene)})
        chosen = [present[int(i)] for i in rng.permutation(len(present))[:each]]
        missing = [kind for kind in ALL_KINDS if kind in absent(scene)]
        company = {kind: sum(counts.together[here, kind] for here in present) for kind in missing}
        splits = {
            "random": [missing[int(i)] for i in rng.permutation(len(missing))],
            "popular": sorted(missing, key=lambda kind: -counts.alone[kind]),
            "adversarial": sorted(missing, key=lambda kind: -company[kind]),
        }
        categories: dict[str, list[str]] = {}
        for split, kinds in splits.items():
            for kind in kinds[: len(chosen)]:
                categories.setdefault(kind, []).append(split)
        for kind in chosen:
            entries.append(_pope_entry(scene, kind, True, splits))
        for kind, names in categories.items():
            entries.append(_pope_entry(scene, kind, False, names))
    return entries


def _pope_entry(scene: Scene, kind: str, answer: bool, splits: Iterable[str]) -> TaskEntry:
    return TaskEntry(scene=scene, ask=ask_yesno.pope_about(kind, answer, ",".join(splits)))


# --- the other tasks ------------------------------------------------------------------------


def fill(
    scenes: Sequence[Scene], rng: Rng, makers: Mapping[str, Maker], quota: Mapping[str, int]
) -> list[TaskEntry]:
    """Questions by category (or ability) up to its quota.

    They are distributed evenly: over question types, the least used first; over images, those with
    the fewest questions first; over yes and no and over option letters, for each type separately. A
    category stays below its quota if it has no images left.
    """
    entries: list[TaskEntry] = []
    used: Counter[str] = Counter()
    yes_less_no: Counter[str] = Counter()
    letters: Counter[tuple[str, str]] = Counter()
    load: Counter[Scene] = Counter()
    seen: set[tuple[Scene, str]] = set()

    def made_for(category: str, scene: Scene) -> bool:
        for name in sorted(makers, key=lambda name: used[name]):
            if name in YES_NO:
                lead = yes_less_no[name]
                ask = YES_NO[name](scene, rng, lead < 0 or (lead == 0 and rng.random() < 0.5))
            else:
                ask = makers[name](scene, rng)
            if ask is None or category not in (ask.category, ask.ability):
                continue
            if (scene, ask.question) in seen:
                continue
            seen.add((scene, ask.question))
            if ask.options:
                letter = min(LETTERS[: len(ask.options)], key=lambda at: letters[name, at])
                letters[name, letter] += 1
                ask = with_letter(ask, letter)
            entries.append(TaskEntry(scene=scene, ask=ask))
            used[name] += 1
            load[scene] += 1
            yes_less_no[name] += {"yes": 1, "no": -1}.get(ask.answer.lower(), 0)
            return True
        return False

    for category, wanted in quota.items():
        for _ in range(wanted):
            order = [scenes[int(i)] for i in rng.permutation(len(scenes))]
            order.sort(key=lambda scene: load[scene])
            if not any(made_for(category, scene) for scene in order):
                break
    return entries


# MME's categories: how to ask, about which images, how many of them.
MME: dict[str, tuple[YesNoMaker, Callable[[ChartScenes], Sequence[Scene]], int]] = {
    "existence": (ask_yesno.mme_existence, lambda p: p.scenes[:60], 20),
    "count": (ask_yesno.mme_count, lambda p: p.scenes[:60], 20),
    "position": (ask_yesno.mme_position, lambda p: p.scenes[:60], 20),
    "color": (ask_yesno.mme_color, lambda p: p.scenes[:60], 20),
    "posters": (ask_yesno.mme_posters, lambda p: p.signs, 15),
    "scene": (ask_yesno.mme_scene, lambda p: p.scenes[:60], 15),
    "artwork": (ask_yesno.mme_artwork, lambda p: (*p.forms[:8], *p.formulas[:8]), 12),
    "OCR": (ask_yesno.mme_ocr, lambda p: p.signs, 20),
    "commonsense_reasoning": (ask_yesno.mme_commonsense, lambda p: p.scenes[:60], 15),
    "numerical_calculation": (ask_yesno.mme_calculation, lambda p: p.formulas, 12),
}


def mme_entries(pictures: ChartScenes, rng: Rng) -> list[TaskEntry]:
    """MME's pairs: for each image of a category a question with answer yes and one with no."""
    entries: list[TaskEntry] = []
    for make, chosen, pairs in MME.values():
        left = list(chosen(pictures))
        wanted = len(entries) + 2 * pairs
        for _ in range(MME_ROUNDS):
            order = [left[int(i)] for i in rng.permutation(len(left))]
            for scene in order:
                yes, no = make(scene, rng, True), make(scene, rng, False)
                if len(entries) < wanted and yes is not None and no is not None:
                    entries += [TaskEntry(scene=scene, ask=yes), TaskEntry(scene=scene, ask=no)]
                    left.remove(scene)
    return entries


def coco_entries(scenes: Sequence[Scene]) -> list[TaskEntry]:
    """One caption for each image, with five references."""
    return [
        TaskEntry(
            scene=scene,
            ask=ChartQuestion(
                task="COCO",
                category="caption",
                question=COCO_PROMPT,
                answer=captions(scene)[0],
                references=captions(scene),
            ),
        )
        for scene in scenes
    ]


OCR_QUOTA = {
    "Regular Text Recognition": 8,
    "Irregular Text Recognition": 12,
    "Artistic Text Recognition": 8,
    "Handwriting Recognition": 8,
    "Digit String Recognition": 12,
    "Non-Semantic Text Recognition": 12,
    "Scene Text-centric VQA": 30,
    "Doc-oriented VQA": 30,
    "Key Information Extraction": 30,
    "Handwritten Mathematical Expression Recognition": 18,
}
GQA_QUOTA = {"choose": 105, "compare": 70, "logical": 105, "query": 125, "verify": 105}
SEED_QUOTA = {
    "Scene Understanding": 40,
    "Instance Identity": 40,
    "Instance Attributes": 40,
    "Instance Location": 40,
    "Instances Counting": 40,
    "Spatial Relation": 40,
    "Instance Interaction": 40,
    "Visual Reasoning": 40,
    "Text Understanding": 30,
}
MMBENCH_QUOTA = {
    "attribute_reasoning": 28,
    "coarse_perception": 28,
    "finegrained_perception (cross-instance)": 28,
    "finegrained_perception (instance-level)": 28,
    "logic_reasoning": 28,
    "relation_reasoning": 28,
}


# --- files ----------------------------------------------------------------------------------


def rows_of(
    entries: Sequence[TaskEntry], extra: Callable[[TaskEntry], Fields] | None = None
) -> list[Fields]:
    """Rows in the order of the images' first use; each image is stored once."""
    by_scene: dict[Scene, list[TaskEntry]] = {}
    for entry in entries:
        by_scene.setdefault(entry.scene, []).append(entry)
    rows: list[Fields] = []
    for scene, group in by_scene.items():
        first = str(len(rows) + 1)
        for entry in group:
            index = str(len(rows) + 1)
            row = {"index": index, "image": stored(scene) if index == first else first}
            row |= {"question": entry.ask.question}
            row |= dict(zip(LETTERS, entry.ask.options, strict=False))
            row |= {"answer": _answer(entry.ask), "category": entry.ask.category}
            rows.append(row | (extra(entry) if extra else {}))
    return rows


def _answer(ask: ChartQuestion) -> str:
    return str(list(ask.references)) if ask.references else ask.answer


def _mme_extra(entry: TaskEntry) -> Fields:
    return {"image_path": f"{entry.ask.category}/{entry.scene.seed:06d}.jpg"}


def _mmbench_extra(entry: TaskEntry) -> Fields:
    return {"l2-category": entry.ask.ability, "hint": "", "split": "dev"}


def circular(rows: Sequence[Fields]) -> list[Fields]:
    """The rows and all their rotations: options move up by k places, the answer with them."""
    turned = []
    for row in rows:
        letters = [letter for letter in LETTERS if row.get(letter)]
        for k in range(1, len(letters)):
            options = {
                letter: row[letters[(i + k) % len(letters)]] for i, letter in enumerate(letters)
            }
            answer = letters[(letters.index(row["answer"]) - k) % len(letters)]
            image = row["image"] if len(row["image"]) <= 64 else row["index"]
            index = str(int(row["index"]) + k * CIRCULAR_STEP)
            turned.append({**row, **options, "index": index, "answer": answer, "image": image})
    return [*rows, *turned]


COLUMNS: dict[str, tuple[str, ...]] = {
    "POPE": ("index", "image", "question", "answer", "category"),
    "GQA_TestDev_Balanced": ("index", "image", "question", "answer", "category"),
    "COCO_VAL": ("index", "image", "question", "answer"),
    "OCRBench": ("index", "image", "question", "answer", "category"),
    "MME": ("index", "image", "question", "answer", "category", "image_path"),
    "MMBench_DEV_EN": (
        *("index", "image", "question", "hint", "A", "B", "C", "D", "answer"),
        *("category", "l2-category", "split"),
    ),
    "SEEDBench_IMG": ("index", "image", "question", "A", "B", "C", "D", "answer", "category"),
}


def build(seed: int = 0) -> dict[str, list[Fields]]:
    """The rows of all seven files, by the file's name without its ending."""
    pictures = choose_pictures(seed)
    rngs = {name: np.random.default_rng([seed, i]) for i, name in enumerate(COLUMNS)}
    scenes = pictures.scenes
    with_sign = tuple(scene for scene in scenes[:90] if scene.texts)
    texts = (*pictures.signs, *with_sign[:14], *pictures.forms, *pictures.formulas)
    forms = pictures.forms[:10]

    def filled(
        name: str, prefix: str, among: Sequence[Scene], quota: Mapping[str, int]
    ) -> TaskEntries:
        makers = {key: make for key, make in MAKERS.items() if key.startswith(prefix)}
        return fill(among, rngs[name], makers, quota)

    gqa = filled("GQA_TestDev_Balanced", "gqa_", scenes[:90], GQA_QUOTA)
    mmbench = filled("MMBench_DEV_EN", "mmbench_", (*scenes[:80], *forms), MMBENCH_QUOTA)
    seedbench = filled("SEEDBench_IMG", "seed_", scenes[:90], SEED_QUOTA)
    return {
        "POPE": rows_of(pope_entries(scenes[:90], rngs["POPE"], count_kinds(seed))),
        "GQA_TestDev_Balanced": rows_of(gqa),
        "COCO_VAL": rows_of(coco_entries(scenes)),
        "OCRBench": rows_of(filled("OCRBench", "ocr_", texts, OCR_QUOTA)),
        "MME": rows_of(mme_entries(pictures, rngs["MME"]), _mme_extra),
        "MMBench_DEV_EN": circular(rows_of(mmbench, _mmbench_extra)),
        "SEEDBench_IMG": rows_of(seedbench),
    }


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Fields]) -> None:
    """Tab-separated, quoted where needed, as pandas writes and reads it."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in rows)


def summary(files: Mapping[str, Sequence[Fields]], folder: Path) -> str:
    """A table of questions by task and category, images and sizes."""
    lines = []
    pictures: set[str] = set()
    total_bytes = 0
    for name, rows in files.items():
        size_bytes = (folder / f"{name}.tsv").stat().st_size
        own = {row["image"] for row in rows if len(row["image"]) > 64}
        pictures |= own
        total_bytes += size_bytes
        lines.append(f"{name}: {len(rows)} rows, {len(own)} images, {size_bytes / 1e6:.2f} MB")
        by_category: dict[str, Counter[str]] = {}
        for row in rows:
            label = row.get("l2-category") or row.get("category", "caption")
            by_category.setdefault(label, Counter())[row["answer"]] += 1
        for label, answers in sorted(by_category.items()):
            common = ", ".join(f"{text[:12]} {n}" for text, n in answers.most_common(4))
            shown = f"  ({common})" if len(answers) <= 40 and common else ""
            lines.append(f"  {label:<50}{sum(answers.values()):>6}{shown}")
    lines.append(f"all: {len(pictures)} different images, {total_bytes / 1e6:.2f} MB")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write eyechart-mini's seven task files.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the TSV files")
    parser.add_argument("--seed", type=int, default=0, help="edition of the chart")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    files = build(given.seed)
    for name, rows in files.items():
        write_tsv(given.out / f"{name}.tsv", COLUMNS[name], rows)
    print(summary(files, given.out))


if __name__ == "__main__":
    main()
