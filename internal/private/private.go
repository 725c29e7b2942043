// Package private keeps files to their owner: their mode says so on Unix, their access
// control list on Windows.
package private
