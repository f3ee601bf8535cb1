// Package inotify reads events of inotify(7) with a mask for each watch. fsnotify has no mask: on a directory
// it always asks for IN_MODIFY, and then every write to any file in it wakes the process.
//
// In event → observe → diff → apply → record it is below all of them: packages watch ordinary files through it.
package inotify
