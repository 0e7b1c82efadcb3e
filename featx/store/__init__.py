"""The feature store: immutable HDF5 parts, and the folder of them (the owner of h5py)."""
