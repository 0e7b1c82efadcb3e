"""Folders: splits, classes, depth, and what lies beside the pictures."""

from __future__ import annotations

from tests.corpus.case import PLAIN, QUARTER, Case
from tests.corpus.making import empty, fill, of, photo, put

TWO = {"ants": 8, "bees": 8}
HALVES = {"train/ants": 6, "train/bees": 6, "test/ants": 2, "test/bees": 2}
NO_CLASSES = "has no classes: its pictures lie in no class folders"


def split_case(train: str, held_out: str, split: str, *said: str) -> Case:
    """Folders of two splits above the classes."""
    names = {f"{train}/ants": 6, f"{train}/bees": 6, f"{held_out}/ants": 2, f"{held_out}/bees": 2}
    return Case(
        name=f"splits {train} and {held_out}",
        make=of(names),
        said=said,
        read={"train/ants": 6, "train/bees": 6, f"{split}/ants": 2, f"{split}/bees": 2},
        held_out=f"held out: {split} (4 images); trained on train (12)",
    )


FOLDERS = [
    Case(name="class folders", make=of(TWO), held_out=QUARTER),
    Case(name="suffixes in capitals", make=of(TWO, suffix=".PNG")),
    Case(name="no suffixes", make=of(TWO, suffix="")),
    Case(name="pictures called .txt", make=of(TWO, suffix=".txt")),
    split_case("train", "test", "test", "note: splits: train, test (from folder names)"),
    split_case("Train", "VALID", "val", "splits: train, val (from folder names: 'Train' is train, 'VALID' is val)"),
    split_case("TRAINING", "Testing", "test", "'TRAINING' is train, 'Testing' is test"),
    split_case("training_set", "test_set", "test", "'test_set' is test, 'training_set' is train"),
    split_case("train", "hold-out", "test", "'hold-out' is test"),
    split_case("Train", "dev", "val", "'Train' is train, 'dev' is val"),
    split_case("train", "Evaluation", "test", "'Evaluation' is test"),
    Case(
        name="train, val and test",
        make=of({**HALVES, "val/ants": 2, "val/bees": 2}),
        said=("splits: train, val, test",),
        read={"train/ants": 6, "train/bees": 6, "val/ants": 2, "val/bees": 2, "test/ants": 2, "test/bees": 2},
        fitted=(16, 4),
        held_out="held out: test (4 images); trained on train and val (16)",
    ),
    Case(
        name="splits inside the classes",
        make=of({"ants/train": 6, "ants/test": 2, "bees/train": 6, "bees/test": 2}),
        said=("splits: train, test (from folder names) inside the class folders",),
        read={"train/ants": 6, "train/bees": 6, "test/ants": 2, "test/bees": 2},
        held_out="held out: test (4 images)",
    ),
    Case(
        name="other splits in each class",
        make=of({"ants/Train": 6, "ants/Test": 2, "bees/train": 6, "bees/valid": 2}),
        said=("'Test' is test, 'Train' is train, 'valid' is val",),
        read={"train/ants": 6, "train/bees": 6, "test/ants": 2, "val/bees": 2},
        fitted=(14, 2),
        fit_said=("no image of 'bees' is held out, so the accuracy says nothing of it",),
    ),
    Case(
        name="one class is divided",
        make=of({"ants/train": 6, "ants/test": 2, "bees": 8}),
        stops="the folder 'ants' is divided into splits and 'bees' is not: divide every class or none",
        labelled=16,
    ),
    Case(
        name="train alone",
        make=of({"train/ants": 8, "train/bees": 8}),
        said=("splits: train (from folder names)",),
        read={"train/ants": 8, "train/bees": 8},
        held_out=QUARTER,
    ),
    Case(
        name="test alone",
        make=of({"test/ants": 8, "test/bees": 8}),
        said=("splits: test (from folder names)",),
        read={"test/ants": 8, "test/bees": 8},
        fitted="there are only 'test' images, none to train on",
    ),
    Case(
        name="a class in train only",
        make=of({**HALVES, "train/wasps": 2}),
        said=("splits: train, test",),
        read={"train/ants": 6, "train/bees": 6, "train/wasps": 2, "test/ants": 2, "test/bees": 2},
        fitted=(14, 4),
        fit_said=("no image of 'wasps' is held out",),
    ),
    Case(
        name="a class in test only",
        make=of({**HALVES, "test/wasps": 2}),
        said=("splits: train, test",),
        read={"train/ants": 6, "train/bees": 6, "test/ants": 2, "test/bees": 2, "test/wasps": 2},
        fitted="the training part needs at least one image of every class: 'wasps' has 2 images, all of them held out",
    ),
    Case(
        name="a folder beside splits",
        make=of({**HALVES, "extra/ants": 3}),
        stops="mixes splits with other folders: 'test', 'train' are names of splits, 'extra' is not",
        labelled=19,
    ),
    Case(
        name="the whole set once more beside its splits",
        make=of({**HALVES, "chest/train/ants": 2, "chest/test/ants": 2}),
        stops="'test', 'train' are names of splits, 'chest' is not",
        labelled=20,
    ),
    Case(
        name="a class called train",
        make=of({"train": 8, "bees": 8}),
        said=("'train' in 'photos' is read as a class, not as a split: like 'bees' beside it, it holds pictures",),
        read={"/train": 8, "/bees": 8},
    ),
    Case(
        name="numbered splits",
        make=of({"train2017/ants": 6, "val2017/ants": 2}),
        stops="'train2017', 'val2017', which look like splits and are not names that featx knows: rename them",
        labelled=8,
    ),
    Case(
        name="splits of two domains",
        make=of({"trainA": 6, "trainB": 6, "testA": 2, "testB": 2}),
        stops="'testA', 'testB', 'trainA', 'trainB', which look like splits",
        labelled=16,
    ),
    Case(
        name="splits in camel case",
        make=of({"TrainImages/ants": 6, "TestImages/ants": 2}),
        stops="'TestImages', 'TrainImages', which look like splits",
        labelled=8,
    ),
    Case(
        name="defects with masks",
        make=of({"train/good": 6, "test/good": 2, "test/broken": 2, "ground_truth/broken": 2}),
        stops="'test', 'train' are names of splits, 'ground_truth' is not",
        labelled=12,
    ),
    Case(
        name="defects of several products with masks",
        make=of({"bottle/train/good": 6, "bottle/ground_truth/broken": 2, "cable/train/good": 6}),
        stops="'photos/bottle' holds splits and, beside them, 'ground_truth': move that elsewhere",
        labelled=14,
    ),
    Case(
        name="images and masks",
        make=of({"images": 8, "masks": 8}),
        said=("'masks' may belong to the pictures of 'images': if so, give a folder of class folders or a CSV file",),
        read={"/images": 8, "/masks": 8},
    ),
    Case(
        name="detection boxes beside the images",
        make=of({"images/train": 8, "images/val": 4}, put("labels/train/0.txt")),
        stops="its pictures lie deeper, in 'train', 'val': did you mean 'photos/images'? (passed over: 1 file that is "
        "not a picture (.txt 1), 1 folder without pictures (labels))",
        labelled=12,
        predict_said=("'photos': passed over: 1 file that is not a picture (.txt 1)",),
    ),
    Case(
        name="folds above the classes",
        make=of({"fold0/ants": 4, "fold0/bees": 4, "fold1/ants": 4, "fold1/bees": 4}),
        said=("'fold0', 'fold1' in 'photos' are read as the classes, but each of them holds 'ants', 'bees': if those",),
        read={"/fold0": 8, "/fold1": 8},
    ),
    Case(
        name="folders inside one class",
        make=of({"ants/2019": 4, "ants/2020": 4, "bees": 8}),
        said=("pictures of 2 folders inside class folders, such as 'photos/ants/2019', count for the class",),
    ),
    Case(
        name="one folder too high",
        make=of({"photos/ants": 8, "photos/bees": 8}),
        stops="holds one folder only, 'photos', and its pictures lie deeper, in 'ants', 'bees': did you mean "
        "'photos/photos'?",
        labelled=16,
    ),
    Case(
        name="two folders too high",
        make=of({"a/b/train/ants": 8, "a/b/test/ants": 8}),
        stops="did you mean 'photos/a/b'?",
        labelled=16,
    ),
    Case(
        name="each split in a folder of its name",
        make=of({"training_set/training_set/ants": 6, "test_set/test_set/ants": 2}),
        stops="one folder too deep: each split holds one folder only, such as 'photos/test_set/test_set'",
        labelled=8,
    ),
    Case(
        name="one folder too deep",
        make=of(TWO),
        data="photos/ants",
        said=("its pictures are read without labels; if 'ants' is a class, the data set is 'photos'",),
        read={"/": 8},
        fitted=NO_CLASSES,
    ),
    Case(
        name="pictures of two splits without classes",
        make=of({"train": 6, "test": 2}),
        said=("splits: train, test", "'photos' holds no class folders: its pictures are read without labels"),
        read={"train/": 6, "test/": 2},
        fitted=NO_CLASSES,
    ),
    Case(
        name="pictures beside a table",
        make=of({}, put("1.png", content=photo(0, 0)), put("labels.csv", content="id,breed\n1,ant\n")),
        said=(
            "'photos/labels.csv' is not read: it has no columns of paths and labels",
            "if 'photos/labels.csv' lists them with their labels, that is the data set",
            "passed over: 1 file",
        ),
        read={"/": 1},
        fitted=NO_CLASSES,
        predict_said=("passed over: 1 file",),
    ),
    Case(
        name="a folder of pictures beside a table",
        make=of({"images": 8}, put("train.csv", content="id,breed\n1,ant\n")),
        said=("all pictures are of one class, the folder 'images'; if 'photos/train.csv' lists them", "passed over: 1"),
        read={"/images": 8},
        fitted="'photos' has one class only ('images')",
        predict_said=("passed over: 1 file",),
    ),
    Case(
        name="side folders and files at any depth",
        make=of(
            TWO,
            put("__MACOSX/ants/._0.png", "ants/.DS_Store", "bees/Thumbs.db", "desktop.ini", "bees/._000.png"),
            put("ants/@eaDir/000.png/SYNOPHOTO_THUMB_S.jpg", ".AppleDouble/x.png", "$RECYCLE.BIN/y.jpg"),
            put("bees/.ipynb_checkpoints/1-checkpoint.png", "ants/lost+found/z.jpg", content=photo(2, 50)),
        ),
        said=(
            "passed over: 6 side folders ($RECYCLE.BIN, .AppleDouble, __MACOSX, @eaDir, lost+found, "
            ".ipynb_checkpoints), 4 system files (.DS_Store, ._000.png, Thumbs.db, desktop.ini)",
        ),
        predict_said=("'photos': passed over: 6 side folders",),
    ),
    Case(
        name="a hidden class",
        make=of(TWO, put(".wasps/1.png", content=photo(2, 51))),
        said=("'photos/.wasps' is hidden and holds pictures: passed over; rename what", "1 hidden folder (.wasps)"),
        predict_said=("1 hidden folder (.wasps)",),
    ),
    Case(
        name="sidecars",
        make=of(TWO, put("ants/0.json", "ants/1.json", "bees/x.XML", "README.md", "LICENSE", "bees/a.npy")),
        said=("passed over: 6 files that are not pictures (.json 2, no suffix 1, .md 1, .npy 1, .xml 1)",),
        predict_said=("passed over: 6 files",),
    ),
    Case(
        name="a picture outside the classes",
        make=of(TWO, put("cover.png", content=photo(2, 52))),
        said=("1 picture lies outside the class folders and is passed over, such as", "1 picture outside the class"),
        labelled=17,
    ),
    Case(name="an empty class", make=of(TWO, empty("wasps")), said=("1 folder without pictures (wasps)",)),
    Case(name="empty classes", make=of({}, empty("ants", "bees")), stops="its class folders hold no images"),
    Case(name="an empty folder", make=of({}), stops="holds no class folders. Expected is photos/CLASS/photo.jpg"),
    Case(name="nothing", make=lambda folder: None, stops="'photos' does not exist: DATA is a folder"),
    Case(name="no name", make=lambda folder: None, data="", stops="'' does not exist", labelled="is an empty path"),
    Case(name="an archive", make=put("photos.zip"), data="photos.zip", stops="is not a whole zip file"),
    Case(
        name="one image of a class",
        make=of({"ants": 8, "bees": 1}),
        read={"/ants": 8, "/bees": 1},
        fitted="has only one image of: bees. Every class needs at least two",
    ),
    Case(
        name="two images of a class",
        make=of({"ants": 8, "bees": 2}),
        read={"/ants": 8, "/bees": 2},
        fitted=(7, 3),
    ),
    Case(name="three of each", make=of({"ants": 3, "bees": 3}), read={"/ants": 3, "/bees": 3}, fitted=(4, 2)),
    Case(
        name="three hundred classes of two",
        make=of({f"{number:03}": 2 for number in range(1, 301)}),
        read={f"/{number:03}": 2 for number in range(1, 301)},
        fitted=(300, 300),
        fit_said=("no class has two images to train on",),
    ),
    Case(name="one class", make=of({"ants": 8}), read={"/ants": 8}, fitted="'photos' has one class only ('ants')"),
    Case(
        name="a name of a built-in data set",
        make=of(TWO, root="digits"),
        data="digits",
        stops="write './digits' for the folder, or 'builtin:digits' for the built-in data set",
        labelled=16,
    ),
    Case(name="that name as a path", make=of(TWO, root="digits"), data="./digits"),
    Case(name="the home folder", make=of(TWO), data="~/photos"),
    Case(name="a slash at the end", make=of(TWO), data="photos//"),
    Case(name="blanks in the path", make=of(TWO, root="my photos (1)"), data="my photos (1)"),
    Case(name="the current folder", make=lambda folder: fill(folder, TWO), data=".", read=PLAIN),
]
