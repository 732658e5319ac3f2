"""Set Mainstay up in this folder, from nothing but Python 3.11 or newer and a package index.

Three steps, each skipped when its inputs are what they were when it last succeeded: uv in `.tools`,
the pinned packages of `requirements.lock` and the three workspace packages in `.venv`, and the
pages' assets. A step writes its stamp last, so an interrupted set-up repeats only what is missing.
Two set-ups at the same moment take turns. Run it with `make setup`; standard library only.
"""

import fcntl
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
UV = TOOLS / "bin" / "uv"
UV_OWN_PYTHON = TOOLS / "venv" / "bin" / "python"
UV_REQUIREMENT = "uv>=0.9,<1"
PYTHON = VENV / "bin" / "python"
MEMBERS = ("sdk", "cli", "server")
OLDEST = (3, 11)
# Not an activated environment's: that may be the very one to be made anew.
INTERPRETER = Path(sys.executable)
if sys.prefix != sys.base_prefix:
    INTERPRETER = INTERPRETER.resolve()
UNDER_WAY = "under way"
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")


def main() -> int:
    """Run what is stale and return the exit code: 0 when `.venv/bin/mainstay` is ready."""
    if sys.version_info < OLDEST:
        return start_again_with_a_newer_python()
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "set_up.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            set_up()
        except subprocess.CalledProcessError as failure:
            command = " ".join(str(part) for part in failure.cmd)
            print(f"set-up stopped, exit code {failure.returncode}: {command}", file=sys.stderr)
            return 1
    return 0


def set_up() -> None:
    """Bring `.venv` and the assets up to date; raise `CalledProcessError` at the first failure."""
    environment_key = key_of(sys.version, sys.base_prefix, str(ROOT))
    packages_key = key_of(environment_key, LOCK.read_text())
    members_key = key_of(
        packages_key, *((ROOT / member / "pyproject.toml").read_text() for member in MEMBERS)
    )
    # A changed interpreter or a moved folder leaves dead paths in every script of the environment.
    # An interrupted installation may leave half a package that already calls itself installed.
    interrupted = is_done("packages", UNDER_WAY)
    if interrupted or not (is_done("environment", environment_key) or is_usable()):
        make_environment()
    mark_done("environment", environment_key)
    if not is_done("packages", packages_key):
        mark_done("packages", UNDER_WAY)
        uv("pip", "install", "--require-hashes", "--requirements", str(LOCK), doing="packages")
        mark_done("packages", packages_key)
    if not is_done("members", members_key):
        # Their build backend is in the lock too, so nothing unpinned is fetched to build them.
        editable = [part for member in MEMBERS for part in ("--editable", str(ROOT / member))]
        uv("pip", "install", "--no-deps", "--no-build-isolation", *editable, doing="mainstay")
        mark_done("members", members_key)
    build_assets()


def is_usable() -> bool:
    """Whether `.venv` was made here, by this Python, even if no stamp says so."""
    settings = VENV / "pyvenv.cfg"
    script = VENV / "bin" / "activate"
    library = VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not (PYTHON.exists() and library.is_dir() and settings.is_file() and script.is_file()):
        return False
    made_by = [line for line in settings.read_text().splitlines() if line.startswith("home")]
    here = str(VENV) in script.read_text()
    return here and any(sys.base_prefix in line for line in made_by)


def make_environment() -> None:
    """Make `.venv` anew with the Python that runs this script."""
    if VENV.exists():
        shutil.rmtree(VENV)
    uv_venv = [str(find_uv()), "venv", "--quiet", "--python", str(INTERPRETER), str(VENV)]
    run(uv_venv, doing="environment", env=environment_of_tools())


def find_uv() -> Path:
    """Return uv, after installing it into `.tools` when it is missing or broken."""
    try:
        subprocess.run([UV, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        place = str(UV_OWN_PYTHON.parent.parent)
        run([str(INTERPRETER), "-m", "venv", "--clear", place], doing="place for uv")
        pip = [str(UV_OWN_PYTHON), "-m", "pip", "install", "--quiet"]
        run([*pip, "--disable-pip-version-check", UV_REQUIREMENT], doing="uv")
        UV.parent.mkdir(exist_ok=True)
        UV.unlink(missing_ok=True)
        UV.symlink_to(Path("..") / "venv" / "bin" / "uv")
    return UV


def uv(*arguments: str, doing: str) -> None:
    """Run a uv command on `.venv`."""
    command = [str(find_uv()), *arguments[:2], "--python", str(PYTHON), *arguments[2:]]
    run(command, doing=doing, env=environment_of_tools())


def environment_of_tools() -> dict[str, str]:
    """Return an environment in which uv takes no Python but ours and asks where pip would ask.

    A machine behind a mirror usually configures pip only, and uv does not read pip's settings. Its
    index and certificates are therefore handed over, unless uv has settings of its own. Files are
    accepted by their hash alone, so it does not matter who serves them.
    """
    environment = {**environment_of_builds(), "UV_PYTHON_DOWNLOADS": "never"}
    environment.pop("VIRTUAL_ENV", None)
    configured = pip_settings()
    index = configured.get("index-url")
    if index and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environment.keys():
        environment["UV_DEFAULT_INDEX"] = index
    certificates = configured.get("cert")
    if certificates:
        environment.setdefault("SSL_CERT_FILE", certificates)
        environment.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    return environment


def environment_of_builds() -> dict[str, str]:
    """Return an environment in which uv and Node trust what this machine trusts.

    Both bring a list of authorities of their own, to which a company's inspecting proxy is unknown.
    """
    environment = dict(os.environ)
    store = ssl.get_default_verify_paths()
    if store.cafile or store.capath:
        environment.setdefault("UV_SYSTEM_CERTS", "1")
        environment.setdefault("NODE_USE_SYSTEM_CA", "1")
    return environment


def pip_settings() -> dict[str, str]:
    """Return pip's options by name; a `PIP_*` variable, which pip lists first, beats a file."""
    python = UV_OWN_PYTHON if UV_OWN_PYTHON.exists() else INTERPRETER
    listing = subprocess.run(
        [python, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True
    )
    settings = {}
    for line in reversed(listing.stdout.splitlines()):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip("'\"")
    return settings


def build_assets() -> None:
    """Build the pages' scripts and styles; the build itself knows whether they are fresh."""
    build = ROOT / "server" / "hatch_build.py"
    if build.exists():
        run([str(PYTHON), str(build)], env=environment_of_builds())


def start_again_with_a_newer_python() -> int:
    """Hand over to a newer Python on the path, or say what to install."""
    for name in NEWER_NAMES:
        found = shutil.which(name)
        if found:
            os.execv(found, [found, *sys.argv])  # noqa: S606 - the same script, no shell
    print("Mainstay needs Python 3.11 or newer; install one and run make again.", file=sys.stderr)
    return 1


def key_of(*inputs: str) -> str:
    """Return a digest that changes when any of the inputs changes."""
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()


def is_done(step: str, key: str) -> bool:
    """Whether the step succeeded with these very inputs."""
    stamp = VENV / ".stamps" / step
    return PYTHON.exists() and stamp.is_file() and stamp.read_text() == key


def mark_done(step: str, key: str) -> None:
    """Remember that the step succeeded with these inputs."""
    stamp = VENV / ".stamps" / step
    if not is_done(step, key):
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(key)


def run(command: list[str], *, doing: str = "", env: dict[str, str] | None = None) -> None:
    """Run a command and raise when it fails; say how long it took if it has a name to say."""
    if doing:
        print(f"set-up: {doing} …", flush=True)
    started = time.monotonic()
    subprocess.run(command, check=True, env=env, cwd=ROOT, stdin=subprocess.DEVNULL)
    if doing:
        print(f"set-up: {doing} took {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
