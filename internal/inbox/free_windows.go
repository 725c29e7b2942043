package inbox

import "jetsend/internal/ntfile"

func free(path string) (int64, error) { return ntfile.Free(path) }
