"""What discovery makes of a zoo that strangers made, against its manifest."""

import csv
import os
import re

from made_checkpoints import (
    cause,
    latest,
    scan,
)
from permafrost.zoo import discovery


def test_the_real_zoo_gives_what_its_manifest_says(real_zoo):
    with (real_zoo / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        manifest = {row["name"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    candidates = scan(real_zoo)
    selected = discovery.select(candidates, latest)
    assert {os.path.basename(c.directory) for c in candidates} == set(manifest)
    for name, row in manifest.items():
        found = {c.name: c for c in candidates if os.path.basename(c.directory) == name}
        on_disk = {c.name: c for c in found.values() if cause(c) != "missing_checkpoint"}
        listed = dict(re.fullmatch(r"(.*)\[(.*)\]", item).groups() for item in row["prefixes"].split(" | "))
        assert set(on_disk) == set(listed), name
        for prefix, kinds in listed.items():
            assert (on_disk[prefix].format, cause(on_disk[prefix])) == expectation(row, kinds), (name, prefix)
        newest = {os.path.basename(m.prefix) for m in selected if os.path.basename(m.directory) == name}
        used = row["prefix_used"]
        # Of this one the manifest's author took another step than the one that `checkpoint` names.
        assert used in newest or name == "index_only_vae_compression__xyp8023", name


def expectation(row: dict, kinds: str) -> tuple[str, str]:
    kinds = set(kinds.split("+"))
    if row["checkpoint_format"] == "not-a-checkpoint":
        return "", "not_a_checkpoint"
    if row["checkpoint_format"].startswith("TF2"):
        return "V2", "tf2_checkpoint"
    if "index" not in kinds:
        return "V1", "" if "meta" in kinds else "no_meta_graph"
    if "data" not in kinds:
        return "V2", "missing_shard"
    if "LFS pointer" in row["odd"]:
        return "V2", "lfs_pointer"
    return "V2", "" if "meta" in kinds else "no_meta_graph"


def test_the_real_zoo_in_detail(real_zoo):
    found = {model.id: model for model in discovery.select(scan(real_zoo), latest)}
    assert len([identity for identity in found if identity.startswith("handson_dnn_models__0HOON/")]) == 6
    assert found["dist_mnist__haiy/model.ckpt"].step == 29
    assert found["convnet_bn_v1__hardmaru/model.ckpt"].step == 0
    assert found["mtcnn_pnet__AITTSMD/PNet"].step == 18
    assert "PNet-30" in found["mtcnn_pnet__AITTSMD/PNet"].findings[0]
    assert found["wide_deep_sharded__taiguangxing/model.ckpt"].shards == 2
    gone = "`checkpoint` names model4n.ckpt, of which nothing is there"
    assert gone in found["tf2_sharded_wireless__Lmy0217/model.ckpt"].findings
    assert found["siamese_v1_and_v2__ardiya/model.ckpt"].format == "V2"
