package rig

import (
	"encoding/json"
	"net"
	"net/http"
	"path"
	"sync"
)

// KubeAPIAddress is where ServeKubeAPI listens.
const KubeAPIAddress = "127.0.0.1:18080"

// ServeKubeAPI starts a Kubernetes API server with one node, node1, which is what kube-proxy waits for before it sets
// anything. A watch hangs, as a real one does where nothing changes.
func ServeKubeAPI() (stop func(), err error) {
	listener, err := net.Listen("tcp", KubeAPIAddress)
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	node := object{
		"apiVersion": "v1", "kind": "Node",
		"metadata": object{"name": "node1", "uid": "u1", "resourceVersion": "5"},
		"spec":     object{"podCIDR": "10.244.0.0/24", "podCIDRs": []string{"10.244.0.0/24"}},
		"status":   object{"addresses": []object{{"type": "InternalIP", "address": "127.0.0.1"}}},
	}
	version := object{"resourceVersion": "10"}
	lists := map[string]object{
		"nodes":    {"apiVersion": "v1", "kind": "NodeList", "metadata": version, "items": []object{node}},
		"services": {"apiVersion": "v1", "kind": "ServiceList", "metadata": version, "items": []object{}},
		"endpointslices": {
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "metadata": version, "items": []object{},
		},
		"servicecidrs": {
			"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDRList", "metadata": version, "items": []object{},
		},
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, status := object{"kind": "Status", "apiVersion": "v1", "status": "Failure"}, http.StatusNotFound
		list, isList := lists[path.Base(r.URL.Path)]
		switch query := r.URL.Query(); {
		case r.Method != http.MethodGet:
			status = http.StatusCreated // an event
		case r.URL.Path == "/version":
			answer, status = object{"major": "1", "minor": "36", "gitVersion": "v1.36.3"}, http.StatusOK
		case path.Base(path.Dir(r.URL.Path)) == "nodes":
			answer, status = node, http.StatusOK
		case isList && query.Has("sendInitialEvents"):
			answer["reason"], answer["code"], status = "Invalid", 422, http.StatusUnprocessableEntity
		case isList && query.Has("watch"):
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		case isList:
			answer, status = list, http.StatusOK
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until Close
	return func() { _ = server.Close(); serving.Wait() }, nil
}
