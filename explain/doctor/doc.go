// Package doctor explains why the connection tracker or its settings are not as wanted, with evidence and
// the commands that fix it. It changes nothing and loads nothing.
//
// The package picture reads the host once. Each topic is a package with a pure function from the picture
// to findings; no topic imports another. This package runs the topics and sorts what they find. It stands
// beside event → observe → diff → apply → record, and reports why they could not succeed.
package doctor
