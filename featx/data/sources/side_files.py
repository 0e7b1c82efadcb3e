"""Names that operating systems, file servers and editors leave beside pictures."""

from __future__ import annotations

SYSTEM_FILES = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini", "zbthumbnail.info"}
)
"""Side files by their names in small letters; hidden files count as side files, too."""

SIDE_FOLDER_NAMES = frozenset(
    {
        *("__macosx", ".appledouble", ".trashes", ".spotlight-v100", ".fseventsd", ".temporaryitems"),
        *("$recycle.bin", "recycler", "system volume information", "found.000"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", ".@__thumb", "@tmp", "lost+found"),
        *(".ipynb_checkpoints", "__pycache__", ".thumbnails", ".picasaoriginals", ".cache", ".trash"),
        *(".git", ".hg", ".svn", ".dvc", ".idea", ".vscode", ".venv", "lost.dir"),
    }
)
"""Side folders by their names in small letters: of macOS, Windows, file servers, editors and version control."""


def is_system_file(name: str) -> bool:
    """Whether a file is a side product of an operating system (`Thumbs.db`, `._photo.jpg`, `.DS_Store`)."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def is_side_folder(name: str) -> bool:
    """Whether a folder is known to hold no pictures of a data set (`__MACOSX`, `@eaDir`, `.ipynb_checkpoints`)."""
    return name.lower() in SIDE_FOLDER_NAMES


def is_hidden(name: str) -> bool:
    """Whether a name begins with a dot."""
    return name.startswith(".")
