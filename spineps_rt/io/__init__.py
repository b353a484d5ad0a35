"""Files in and out: NIfTI, streams that are verified, writing whole or not at all."""
