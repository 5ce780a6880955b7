"""`marginface VERB ...`: finds the verb, runs it, and turns expected failures into a sentence and an exit code."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import sys

from marginface.errors import InputError, WorkError, one_of

VERBS = {
    "demo": ("marginface.cli.demo", "draw people, train on them, judge on strangers, write a report"),
    "train": ("marginface.cli.train", "train a margin head on a backbone from a recipe"),
    "fit": ("marginface.cli.fit", "turn a folder of photographs by person into a model with thresholds"),
    "finetune": ("marginface.cli.finetune", "train a model further on your own people, judged before and after"),
    "export": ("marginface.cli.export", "write a model as an ONNX, OpenVINO or torch graph, if it stays the same"),
    "evaluate": (
        "marginface.cli.evaluate",
        "judge a model on pairs, templates or searches of faces and write a report",
    ),
    "report": ("marginface.cli.report", "a page on scores in files, or a report's page again from its JSON record"),
    "calibrate": ("marginface.cli.calibrate", "measure thresholds for false match rates, kept in the model's card"),
    "quality": ("marginface.cli.quality", "score the quality of face images, and say what each score is worth"),
    "protocols": ("marginface.cli.protocols", "list what models can be judged on, and the settings of each protocol"),
    "scores": ("marginface.cli.scores", "error rates of scores in a file: no model is needed"),
    "models import": ("marginface.cli.models_import", "turn published weights into a model folder"),
    "models pull": ("marginface.cli.models_pull", "download published weights, check them and import them"),
    "models probe": ("marginface.cli.models_probe", "judge weights under each colour order and value range"),
    "models list": ("marginface.cli.models_list", "list models with their terms"),
    "models show": ("marginface.cli.models_show", "say what backbones are made of and what an image costs them"),
    "draw": ("marginface.cli.draw", "draw people who do not exist into a tar of aligned faces"),
    "degrade": ("marginface.cli.degrade", "write a blurred, low-resolution or compressed copy of a data set"),
    "data describe": ("marginface.cli.data_describe", "say what a data set holds, and what is wrong with it"),
    "data convert": ("marginface.cli.data_convert", "write a data set in another format"),
    "data subset": ("marginface.cli.data_subset", "list chosen images or people of a data set"),
    "data split": ("marginface.cli.data_split", "list images to train on, to test on, and strangers"),
    "data rec2jpg": ("marginface.cli.data_rec2jpg", "write records as files identity/000.jpg"),
    "data exclude": ("marginface.cli.data_exclude", "leave images out of a packed set, without rewriting it"),
    "data check": ("marginface.cli.data_check", "decode every image and compare every checksum"),
    "data doctor": ("marginface.cli.data_doctor", "find copies, wrong names and shared people in a data set"),
    "data augment": ("marginface.cli.data_augment", "draw what augmentation makes of some images"),
    "data align": ("marginface.cli.data_align", "find and align the faces of a folder of photographs"),
    "data fetch": ("marginface.cli.data_fetch", "download a public data set and turn it into records"),
    "head export": ("marginface.cli.head_export", "write a run's head: weights, and one template a person"),
    "config show": ("marginface.cli.config_show", "print a recipe with every setting resolved"),
    "cluster": ("marginface.cli.cluster", "sort the faces of an album into a folder for each person"),
    "verify": ("marginface.cli.verify", "say whether two photographs show one person"),
    "embed": ("marginface.cli.embed", "turn faces or photographs into an embedding table"),
    "find": ("marginface.cli.find", "say who is on photographs, given a folder of people one knows"),
    "gallery create": ("marginface.cli.gallery_create", "make an empty gallery, bound to a model"),
    "gallery enrol": ("marginface.cli.gallery_enrol", "add people, or images of people, to a gallery"),
    "gallery list": ("marginface.cli.gallery_list", "list who is enrolled in a gallery"),
    "gallery remove": ("marginface.cli.gallery_remove", "erase people from a gallery, everywhere"),
    "gallery audit": ("marginface.cli.gallery_audit", "check a gallery's log, people and vectors"),
    "gallery export": ("marginface.cli.gallery_export", "write all people of a gallery into one file"),
    "gallery import": ("marginface.cli.gallery_import", "take the people of an export into a gallery"),
    "gallery repair": ("marginface.cli.gallery_repair", "rebuild a gallery whose database is damaged"),
    "gallery reembed": ("marginface.cli.gallery_reembed", "make a gallery of another model from kept crops"),
    "gallery index": ("marginface.cli.gallery_index", "build an approximate index and measure what it misses"),
    "search": ("marginface.cli.search", "say who of a gallery is on photographs"),
    "serve": ("marginface.cli.serve", "serve a gallery over HTTP, with a page for people"),
    "keys create": ("marginface.cli.keys_create", "make an API key for a service"),
    "keys list": ("marginface.cli.keys_list", "list the API keys of a service"),
    "keys revoke": ("marginface.cli.keys_revoke", "end an API key of a service"),
    "doctor": ("marginface.cli.doctor", "say what will be used on this machine, and why"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return 0, 1 (the work failed), 2 (the input cannot be used) or 128 + a signal's number."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_help())
        return 0
    if words[0] in {"-V", "--version"}:
        print(importlib.metadata.version("marginface"))
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        module_name, rest = _find(words)
        return int(importlib.import_module(module_name).main(rest) or 0)
    except InputError as error:
        return _say(str(error), 2)
    except WorkError as error:
        return _say(str(error), 1)
    except KeyboardInterrupt:
        return _say("interrupted.", 130)
    except BrokenPipeError:  # `marginface config show x | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _find(words: list[str]) -> tuple[str, list[str]]:
    for length in (2, 1):
        verb = " ".join(words[:length])
        if verb in VERBS:
            return VERBS[verb][0], words[length:]
    below = [v for v in VERBS if v.startswith(f"{words[0]} ")]
    if below:
        raise InputError(f"marginface {words[0]}: say which: {', '.join(below)}.")
    raise InputError(f"there is no verb {words[0]!r}{one_of(words[0], list(VERBS))}.")


def _say(sentence: str, exit_code: int) -> int:
    print(f"marginface: {sentence}", file=sys.stderr)
    return exit_code


def _help() -> str:
    width = max(map(len, VERBS))
    rows = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return (
        "marginface: train margin heads for face recognition and judge them on strangers\n\n"
        f"{rows}\n\n`marginface VERB --help` tells the rest."
    )
