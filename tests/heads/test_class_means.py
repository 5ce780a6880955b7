"""Heads that begin at known people, are averaged, cleaned, saved and turned into templates."""

import json
import math

import pytest
import torch
import torch.nn.functional as F

from marginface.config import load
from marginface.errors import InputError
from marginface.heads import HEADS
from marginface.heads.class_means import (
    average_heads,
    class_means,
    class_templates,
    clean_labels,
    start_from_class_means,
)
from marginface.heads.store import load_head, save_head
from marginface.optim import SgdConfig

DIM, NUM_CLASSES = 16, 6


def settings(**given):
    return load(HEADS[given.get("kind", "dense")], {"kind": "dense", "margin": {"kind": "adaface"}, **given})


def build(**given):
    return settings(**given).build(num_classes=NUM_CLASSES, embedding_dim=DIM, seed=1)


def people(num=60, seed=0):
    """Embeddings around one direction a class, of any length; nobody of the last class."""
    generator = torch.Generator().manual_seed(seed)
    directions = F.normalize(torch.randn(NUM_CLASSES, DIM, generator=generator))
    labels = torch.arange(num) % (NUM_CLASSES - 1)
    near = directions[labels] + 0.1 * torch.randn(num, DIM, generator=generator)
    return near * torch.linspace(0.1, 40, num)[:, None], labels, directions


def test_class_means_are_means_of_directions():
    embeddings, labels, _ = people()
    means = class_means(embeddings, labels, NUM_CLASSES)
    for label in range(NUM_CLASSES - 1):
        expected = F.normalize(F.normalize(embeddings[labels == label], dim=1).mean(dim=0), dim=0)
        torch.testing.assert_close(means[label], expected)
    assert (means[-1] == 0).all()


@pytest.mark.parametrize("given", [{}, {"sub_centres": 3}, {"spheres": {"count": 2}}, {"kind": "sampled"}])
def test_a_head_started_from_class_means_knows_its_people_at_once(given):
    head = build(**given)
    embeddings, labels, _ = people()
    before = head.class_centres.detach().clone()
    assert head(embeddings, labels).target_cos_B.mean() < 0.5
    assert start_from_class_means(head, embeddings, labels) == NUM_CLASSES - 1
    assert head(embeddings, labels).target_cos_B.min() > 0.7
    assert torch.equal(head.class_centres[-1], before[-1]), "nobody was seen of this class"
    lengths = head.class_centres.detach()[:-1].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 0.01 * math.sqrt(DIM)), rtol=0.15, atol=0)
    if head.sub_centres > 1:
        assert (head.class_centres[:-1, 0] != head.class_centres[:-1, 1]).any(dim=1).all()


def test_templates_have_length_one_and_the_centres_directions():
    head = build()
    torch.testing.assert_close(class_templates(head), F.normalize(head.class_centres.detach()))
    spheres = build(spheres={"count": 4})
    templates = class_templates(spheres)
    torch.testing.assert_close(templates.norm(dim=1), torch.ones(NUM_CLASSES))
    slices = templates.unflatten(1, (4, -1)).norm(dim=2)
    torch.testing.assert_close(slices, torch.full_like(slices, 0.5))
    with pytest.raises(InputError, match="3 centres a class"):
        class_templates(build(sub_centres=3))


def test_sub_centres_find_the_images_that_bear_a_wrong_name():
    embeddings, labels, directions = people()
    head = build(sub_centres=2)
    with torch.no_grad():  # each class's second centre has drifted to the next class, whose images it attracts
        head.class_centres[:, 0] = directions
        head.class_centres[:, 1] = directions.roll(-1, 0)
    wrong = torch.tensor([3, 17, 40])
    noisy = labels.clone()
    noisy[wrong] = (labels[wrong] - 1) % (NUM_CLASSES - 1)
    cleaned = clean_labels(head, embeddings, noisy, largest_angle_degrees=60.0)
    assert (~cleaned.keep_N).nonzero()[:, 0].tolist() == wrong.tolist()
    assert (cleaned.dominant_C == 0).all()
    torch.testing.assert_close(cleaned.centres_CD, directions)


def test_the_average_of_heads_points_to_the_mean_of_their_directions():
    first, second = build(), build()
    with torch.no_grad():
        second.class_centres.copy_(100.0 * torch.randn(NUM_CLASSES, DIM))
        second.margin.batch_mean.fill_(40.0)
    averaged = average_heads([first, second])
    expected = F.normalize(first.class_centres.detach()) + F.normalize(second.class_centres.detach())
    torch.testing.assert_close(F.normalize(averaged.class_centres.detach()), F.normalize(expected))
    assert averaged.margin.batch_mean.item() == 30.0
    assert first.margin.batch_mean.item() == 20.0
    with pytest.raises(InputError, match="cannot be averaged"):
        average_heads([first, build(sub_centres=2)])
    with pytest.raises(InputError, match="no heads"):
        average_heads([])


@pytest.mark.parametrize("given", [{}, {"kind": "sampled", "sub_centres": 2}, {"spheres": {"count": 2}}])
def test_a_saved_head_comes_back_with_its_names(tmp_path, given):
    head = build(**given)
    embeddings, labels, _ = people()
    head.fuse_update(SgdConfig(lr=0.1).centre_rule())
    head(embeddings.requires_grad_(), labels).loss.backward()
    names = [f"person {i}" for i in range(NUM_CLASSES)]
    stored = load_head(save_head(head, settings(**given), tmp_path / "head", identities=names))
    assert stored.identities == tuple(names)
    assert torch.equal(stored.head.class_centres, head.class_centres)
    assert torch.equal(stored.head.margin.batch_mean, head.margin.batch_mean)
    torch.testing.assert_close(stored.head.eval()(embeddings, labels).loss, head.eval()(embeddings, labels).loss)


def test_what_is_no_whole_head_is_refused(tmp_path):
    with pytest.raises(InputError, match="this is no whole head"):
        load_head(tmp_path)
    with pytest.raises(InputError, match="2 names for 6 classes"):
        save_head(build(), settings(), tmp_path / "a", identities=["x", "y"])
    folder = save_head(build(), settings(), tmp_path / "b", identities=list("abcdef"))
    about = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps({**about, "identities": list("abcde")}))
    with pytest.raises(InputError, match="this is no whole head"):
        load_head(folder)
    (folder / "head.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="this is no whole head"):
        load_head(folder)


def test_a_label_outside_the_classes_is_refused():
    with pytest.raises(InputError, match=r"label 6 is outside 0\.\.5"):
        class_means(torch.ones(2, DIM), torch.tensor([0, 6]), NUM_CLASSES)
