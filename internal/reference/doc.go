// Package reference generates docs/reference.md: every state, event, cause, result, exit status, JSON key and HTTP
// path that users meet, with its meaning and what to do about it. The values come from the code, by its syntax trees
// and types; their texts are in meanings.yaml and keys.yaml. A value without a text, or a text without a value, is an
// error. So the document is complete, and has nothing that the code does not have.
package reference
