// Package manifest reads the files that people write: it splits them into
// objects, decodes these strictly, and knows on which line a field is.
//
// It is pure and judges nothing; text comes in, objects and what is wrong with
// the text come out. The lint and create commands call it. No text makes it
// panic, or take more memory than a small multiple of MaxBytes.
package manifest
