//go:build !unix

package scratch

// ended is never known elsewhere: what is left there, stays.
func ended(int) bool { return false }
