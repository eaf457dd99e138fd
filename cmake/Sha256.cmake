# cmake -DFILE=<file> -P Sha256.cmake: writes the file's SHA-256 in hex to <file>.sha256.
file(SHA256 ${FILE} hash)
file(WRITE ${FILE}.sha256 ${hash}\n)
