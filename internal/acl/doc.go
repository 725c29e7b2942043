// Package acl reads and sets the access control lists of files on Windows. On other systems
// it is empty.
package acl
