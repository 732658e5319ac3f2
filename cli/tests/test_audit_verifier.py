"""The verifier's own parts, against what others published and what others compute."""

import base64
import hashlib
import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from mainstay_cli.audit_verifier import bundles
from mainstay_cli.audit_verifier.bundles import Bundle, read_bundle
from mainstay_cli.audit_verifier.ed25519 import is_signed
from mainstay_cli.audit_verifier.merkle import Tree, leaf_hash
from mainstay_cli.audit_verifier.notes import Key, open_note
from mainstay_cli.audit_verifier.reports import Report, told
from mainstay_cli.audit_verifier.verifying import verify

# RFC 8032, 7.1: public key, message, signature of TEST 1 to 3.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
            "1cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
            "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
            "984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]
# The leaves and roots that implementations of RFC 6962 test each other with.
LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
# From the documentation of Go's golang.org/x/mod/sumdb/note, the first to write such notes.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
)


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_signatures_of_the_standard_are_believed_and_no_other_bit_of_them(
    public: str, message: str, signature: str
) -> None:
    key, text, signed = map(bytes.fromhex, (public, message, signature))

    assert is_signed(key, text, signed)
    assert not is_signed(key, text + b"!", signed)
    assert not is_signed(key, text, signed[:63])
    assert not is_signed(key[:31], text, signed)
    for place in (0, 31, 32, 63):
        changed = bytearray(signed)
        changed[place] ^= 1
        assert not is_signed(key, text, bytes(changed)), place


@settings(deadline=None, max_examples=30)
@given(
    seed=st.binary(min_size=32, max_size=32),
    message=st.binary(max_size=200),
    flip=st.integers(0, 511),
)
def test_it_agrees_with_another_implementation(seed: bytes, message: bytes, flip: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    signature = private.sign(message)
    changed = bytearray(signature)
    changed[flip // 8] ^= 1 << flip % 8

    assert is_signed(public, message, signature)
    assert is_signed(public, message, bytes(changed)) == believed(public, message, bytes(changed))


def believed(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_a_signature_whose_number_is_too_great_is_refused() -> None:
    """RFC 8032, 5.1.7: else anybody could make a second signature of a first one."""
    key, text, signed = map(bytes.fromhex, RFC_8032[0])
    order = 2**252 + 27742317777372353535851937790883648493
    greater = int.from_bytes(signed[32:], "little") + order

    assert not is_signed(key, text, signed[:32] + greater.to_bytes(32, "little"))


def test_a_key_that_is_no_point_of_the_curve_signs_nothing() -> None:
    assert not is_signed(b"\x02" + b"\0" * 31, b"", bytes(64))
    assert not is_signed(b"\xff" * 32, b"", bytes(64))


def test_roots_are_those_that_others_compute() -> None:
    tree = Tree()
    roots = [tree.root().hex()]
    for leaf in LEAVES:
        tree.append(leaf_hash(bytes.fromhex(leaf)))
        roots.append(tree.root().hex())

    assert tuple(roots) == ROOTS


def test_a_tree_of_another_size_than_its_subtrees_is_none() -> None:
    with pytest.raises(ValueError, match="another number"):
        Tree(3, [bytes(32)])


def test_a_note_that_another_program_signed_is_believed() -> None:
    key = Key.parse(GO_KEY)

    assert open_note(GO_NOTE, [key]).signed
    assert not open_note(GO_NOTE.replace("problem is", "problem was"), [key]).signed
    assert not open_note(GO_NOTE, []).signed


@pytest.mark.parametrize(
    "text",
    ["", "a+b", "a+00000000+AA==", GO_KEY.replace("c74f", "c74e"), GO_KEY[:-4], "a+b+*"],
)
def test_a_key_that_contradicts_itself_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no"):
        Key.parse(text)


def test_a_text_that_is_no_note_is_none() -> None:
    with pytest.raises(ValueError, match="no signed note"):
        open_note("just a text\n", [Key.parse(GO_KEY)])


def test_without_a_key_nothing_is_verified() -> None:
    with pytest.raises(ValueError, match="no key"):
        verify(Bundle(rows=[], checkpoints={}, removals={}, keys=[]))


def test_an_empty_log_with_a_checkpoint_of_a_longer_one_was_cut() -> None:
    private = Ed25519PrivateKey.generate()
    raw = b"\1" + private.public_key().public_bytes_raw()
    key_id = hashlib.sha256(b"log\n" + raw).digest()[:4]
    text = f"log\n1\n{base64.b64encode(bytes(32)).decode()}\n"
    signature = base64.b64encode(key_id + private.sign(text.encode())).decode()
    key = f"log+{key_id.hex()}+{base64.b64encode(raw).decode()}"
    bundle = Bundle(rows=[], checkpoints={}, removals={}, keys=[key])

    report = verify(bundle, kept={"mine": f"{text}\n— log {signature}\n"})

    assert [(fault.code, fault.position) for fault in report.faults] == [("tail_cut", 1)]


def test_a_report_is_told_in_lines_that_name_each_fault() -> None:
    report = Report(origin="log", rows=3)
    report.blame("row_changed", 2, "Row 2 was changed.")
    report.blame("row_changed", 2, "Row 2 was changed in another way.")

    assert list(told(report)) == [
        "Log log: 3 rows, 0 signed checkpoints.",
        "FAULT row_changed: Row 2 was changed.",
    ]


@pytest.mark.parametrize(
    ("most_bytes", "most_files"), [(1_000_000, 100), (100_000_000, 2)], ids=["bytes", "files"]
)
def test_a_small_bundle_that_unpacks_to_too_much_is_refused_before_it_does(
    most_bytes: int, most_files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(bundles, "MOST_FILES", most_files)
    bomb, folder = tmp_path / "bomb.zip", tmp_path / "folder"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.jsonl", b"\n" * 1_100_000)
        archive.writestr("keys.txt", "")
        archive.writestr("checkpoints/1.txt", "")
        archive.extractall(folder)

    for source in (bomb, bomb.read_bytes(), folder):
        with pytest.raises(ValueError, match="export fewer days at once"):
            read_bundle(source)


def test_a_bundle_that_understates_its_size_is_not_read_beyond_it(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.jsonl", b"\n" * 50_000_000)
        archive.writestr("keys.txt", "")
    honest = (50_000_000).to_bytes(4, "little")
    lying = bomb.getvalue().replace(honest, (9).to_bytes(4, "little"))
    assert lying.count(honest) == 0

    tracemalloc.start()
    with pytest.raises(zipfile.BadZipFile):
        read_bundle(lying)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 5_000_000
