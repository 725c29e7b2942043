// Package ntfile is for Windows what the calls of the openat family are for Unix: each is
// about one base name in a directory that is open, and follows no link. On other systems
// it is empty.
package ntfile
