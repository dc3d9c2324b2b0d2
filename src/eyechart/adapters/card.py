"""The model card of an adapter: its purpose, its training data, and its measured errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eyechart.adapters.package import AdapterConfig
from eyechart.core.types import UNCOMPRESSED


def card(config: AdapterConfig, name: str) -> str:
    """Markdown, from the configuration alone; every number in it was measured in training."""
    base: Any = config.base
    codecs = ", ".join(codec for codec in config.trained_codecs if codec != UNCOMPRESSED)
    lines = [
        "---",
        f"base_model: {base['name']}",
        "library_name: eyechart",
        "tags: [vision-language-model, image-compression, adapter]",
        "---",
        "",
        f"# {name}",
        "",
        f"An adapter of `{base['name']}` for images compressed by {codecs}. It replaces "
        "the vision encoder's weights; the language model is untouched.",
        "",
        "```",
        f'eyechart vlm ask IMAGE "question" --vlm {base["name"]} --adapter DIR',
        "```",
        "",
        f"- conditions: {', '.join('/'.join(entry) for entry in config.vocabulary.entries)}, "
        "unknown",
        f"- injection: `{config.injection}`; conditioning: `{config.conditioning}`; "
        f"trained: {config.trainable}",
        f"- made for the vision tower `{config.fingerprint}` of {base['name']}",
        *_training(config.training),
    ]
    if aliases := sorted({(a, b) for (a, _), (b, _) in config.vocabulary.aliases.items()}):
        words = ", ".join(f"{unseen} as {known}" for unseen, known in aliases)
        lines.append(f"- condition aliases: {words}")
    lines += ["", *_features(config.results), *_answers(config.results)]
    return "\n".join(lines).rstrip() + "\n"


def _training(training: Mapping[str, Any]) -> list[str]:
    if not training:
        return []
    return [
        f"- data: {training['images']:,} uncompressed images, {training['steps']:,} steps, "
        f"{training['pairs']:,} pairs, no questions",
        f"- cost: {training['cost_s'] / 60:.0f} minutes on {training['device']}",
    ]


def _features(results: Mapping[str, Any]) -> list[str]:
    if not results:
        return []
    before, after = results["feature_error_before"], results["feature_error"]
    accuracy = results["estimator_accuracy"]
    lines = [
        "Squared error of the language model's input features, over their variance, on held-out "
        "images, without the adapter and with it, by conditioning:",
        "",
        f"| condition | without | {' | '.join(after)} |",
        f"| --- | ---: {'| ---: ' * len(after)}|",
    ]
    for name, was in before.items():
        errors = " | ".join(f"{errors[name]:.4f}" for errors in after.values())
        lines.append(f"| {name} | {was:.4f} | {errors} |")
    lines += ["", f"The estimator names {100 * accuracy:.1f} % of their conditions.", ""]
    return lines


def _answers(results: Mapping[str, Any]) -> list[str]:
    answers = results.get("answers")
    if not answers:
        return []
    lines = [
        f"Scores on held-out questions ({answers['images']} images of each task):",
        "",
        "| task | condition | without | with |",
        "| --- | --- | ---: | ---: |",
    ]
    for row in answers["rows"]:
        lines.append(
            f"| {row['task']} | {row['condition']} | {row['without']:.2f} | {row['with']:.2f} |"
        )
    return [*lines, ""]
