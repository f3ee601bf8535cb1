// Package status is how a running ctkeeper describes itself: the documents that its
// socket, the page, the terminal view and -o json share, the client of the socket, the
// paths, and the sentences that more than one view prints.
//
// In event → observe → diff → apply → record it stands behind record: daemon fills the
// documents, and the views in ui only read them.
package status
