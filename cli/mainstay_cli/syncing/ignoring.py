"""`.mainstayignore`: what stays on its machine, by the rules of gitignore."""

from pathlib import Path

from pathspec import GitIgnoreSpec

NAME = ".mainstayignore"
LARGEST_BYTES = 1 << 20


class Ignored:
    """What the file in the root of a folder leaves out; without one, nothing."""

    def __init__(self, root: Path) -> None:
        file = root / NAME
        text = file.read_text()[:LARGEST_BYTES] if file.is_file() else ""
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        self._spec = GitIgnoreSpec.from_lines(lines) if lines else None

    def leaves_out(self, path: str, *, is_folder: bool = False) -> bool:
        """Whether a path is left out by itself; whoever walks does not look into such folders."""
        if self._spec is None:
            return False
        return self._spec.match_file(f"{path}/" if is_folder else path)

    def leaves_out_any(self, path: str) -> bool:
        """Whether a path of the other side, or a folder it lies in, is left out here."""
        if self._spec is None:
            return False
        cut = path.find("/")
        while cut > 0:
            if self.leaves_out(path[:cut], is_folder=True):
                return True
            cut = path.find("/", cut + 1)
        return self.leaves_out(path)
