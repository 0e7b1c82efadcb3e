"""What files say of the pictures in them, before a pixel is decoded; and the pictures that Pillow does not read.

`foreign` names kinds that are not read, with what to do. `file_structure` says whether a picture's size bounds what
decoding it takes. `jpeg` has large files decoded at a part of their size. `tiff` and `tiff_layout` read the tags of a
TIFF that Pillow hides. `dicom` and `tiff_arrays` hand pictures over as arrays, through libraries that are extras.

Proof: tests/images/formats/, and hostile files of every format in tests/hostile/test_pictures.py.
"""
