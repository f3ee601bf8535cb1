// Package daemon is the running ctkeeper: it puts the watchers, the keeper, the
// configuration, the status socket and systemd together, each as a task under
// one errgroup, and holds the client of that socket.
//
// In event → observe → diff → apply → record it is the frame around
// reconcile.Keeper: watchers wake the keeper, the keeper's events go to the
// journal and the history, its summary goes to systemd.
package daemon
