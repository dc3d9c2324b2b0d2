"""Optional protocols of codecs, tasks and VLMs, beside those in `core.types`.

    plug-in   protocol         member
    codec     SelfDescribing   bitstream_from_payload(payload)
    codec     OpenLevels       level_at(text)
    codec     HasKnobRange     knob_range
    codec     Resizing         restores_size
    codec     WritesImageFile  image_file(level)
    codec     Adapted          adapted_from
    codec     Categorized      category
    codec     HasWeightFiles   weights_bytes(level)
    codec     HasMissingLevels missing_levels
    codec     HasChroma        chroma
    level     EstimatesRate    estimate_bits(images), on what `load` of a codec with weights returns
    task      HasChoices       choices(question)
    task      HasChance        chance(question)
    task      HasImageFiles    check_images(keys)
    task      HasImageBytes    image_bytes(key)
    task      DrawsSample      sample_images, sample_text, draw_sample(images)
    task      HasThresholds    thresholds
    task      HasFile          data_file(), describe_file()
    task      HasMetricLabels  metric_label(name)
    VLM       Checkable        check()
    VLM       TaskDependent    for_task(task)
    VLM       SizesBatches     questions_at_once
    VLM       Replicated       copies, submit(requests, decoding)
    VLM       ReadsRemoteArrays reads_remote_arrays
    VLM       Billed           spent, spent_usd, estimate_usd(requests, decoding)
    VLM       EstimatesTokens  estimate_tokens(requests, decoding)
    VLM       HasPrices        usd_per_million
    VLM       CountsTokens     visual_tokens(height_px, width_px)
    VLM       Remote           remote
    VLM       Served           address
    VLM       HasParameters    parameters
    any       TakesRunOptions  run_options, on the class

A plug-in implements one by having its member; it inherits nothing. The functions below return the
default for plug-ins without it.
"""

from __future__ import annotations

from eyechart.core.hooks.codecs import (
    Adapted,
    Categorized,
    EstimatesRate,
    HasChroma,
    HasKnobRange,
    HasMissingLevels,
    HasWeightFiles,
    ImageFileSettings,
    KnobRange,
    OpenLevels,
    Resizing,
    SelfDescribing,
    WritesImageFile,
    checked_facts,
    facts_of,
    restores_size,
)
from eyechart.core.hooks.run_options import (
    RunOption,
    TakesRunOptions,
    takes,
)
from eyechart.core.hooks.tasks import (
    DrawsSample,
    HasChance,
    HasChoices,
    HasFile,
    HasImageBytes,
    HasImageFiles,
    HasMetricLabels,
    HasThresholds,
    PublishedFile,
    SizeThreshold,
    TaskFile,
    chance_of,
    choices_of,
    metric_label,
)
from eyechart.core.hooks.vlms import (
    QUESTIONS_AT_ONCE,
    Billed,
    Checkable,
    CountsTokens,
    EstimatesTokens,
    HasParameters,
    HasPrices,
    ReadsRemoteArrays,
    Remote,
    Replicated,
    Served,
    SizesBatches,
    TaskDependent,
    Tokens,
    batches_at_once,
    for_task,
    is_remote,
    parameters_of,
    questions_at_once,
    reads_remote_arrays,
)

__all__ = [
    "QUESTIONS_AT_ONCE",
    "Adapted",
    "Billed",
    "Categorized",
    "Checkable",
    "CountsTokens",
    "DrawsSample",
    "EstimatesRate",
    "EstimatesTokens",
    "HasChance",
    "HasChoices",
    "HasChroma",
    "HasFile",
    "HasImageBytes",
    "HasImageFiles",
    "HasKnobRange",
    "HasMetricLabels",
    "HasMissingLevels",
    "HasParameters",
    "HasPrices",
    "HasThresholds",
    "HasWeightFiles",
    "ImageFileSettings",
    "KnobRange",
    "OpenLevels",
    "PublishedFile",
    "ReadsRemoteArrays",
    "Remote",
    "Replicated",
    "Resizing",
    "RunOption",
    "SelfDescribing",
    "Served",
    "SizeThreshold",
    "SizesBatches",
    "TakesRunOptions",
    "TaskDependent",
    "TaskFile",
    "Tokens",
    "WritesImageFile",
    "batches_at_once",
    "chance_of",
    "checked_facts",
    "choices_of",
    "facts_of",
    "for_task",
    "is_remote",
    "metric_label",
    "parameters_of",
    "questions_at_once",
    "reads_remote_arrays",
    "restores_size",
    "takes",
]
