package inbox

import "time"

// facts are what a system knows about a file beyond fs.FileInfo.
type facts struct {
	owner     uint32    // user id
	links     uint64    // its names
	allocated int64     // bytes of the disk that it holds
	changed   time.Time // last change of content or attributes, which nobody can set
}
