// Package daemon runs ctkeeper: it connects the watchers, the keeper, the configuration, the
// status socket and systemd, each as a task under one errgroup.
//
// In event → observe → diff → apply → record it is the frame around reconcile.Keeper:
// watchers wake the keeper, the keeper's events go to the journal and the history, and its
// summary goes to systemd. Apply and Inspect are one pass without a daemon.
package daemon
