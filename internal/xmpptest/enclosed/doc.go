// Package enclosed runs a program of the tests once more in namespaces of its own, where it
// may start servers, cover files and make networks: when it ends, however it ends, the kernel
// ends what is in there. It installs the Debian packages that such a program needs. It is for
// Linux alone.
package enclosed
