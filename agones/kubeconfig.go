package agones

import (
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/throng-gg/throng"
)

// Kubeconfig reads how an API server is reached: from a file and one of its
// contexts (empty: the current one), or, without a file, as a pod of the cluster
// itself. namespace is the context's, "default" where it names none, or the
// pod's own.
func Kubeconfig(file, context string) (cfg *rest.Config, namespace string, err error) {
	if file == "" && context != "" {
		return nil, "", throng.AtField(throng.Invalid, "context", "%q is of no kubeconfig", context)
	}
	if file == "" {
		if cfg, err = rest.InClusterConfig(); err != nil {
			return nil, "", throng.AtField(throng.Invalid, "kubeconfig", "is missing, and this is no pod: %w", err)
		}
		namespace, err = podNamespace()
		return cfg, namespace, err
	}
	loading := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: file},
		&clientcmd.ConfigOverrides{CurrentContext: context},
	)
	if cfg, err = loading.ClientConfig(); err != nil {
		return nil, "", throng.AtField(throng.Invalid, "kubeconfig", "%w", err)
	}
	if namespace, _, err = loading.Namespace(); err != nil {
		return nil, "", throng.AtField(throng.Invalid, "kubeconfig", "%w", err)
	}
	return cfg, namespace, nil
}

// podNamespaceFile is where a pod finds which namespace it is in.
const podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func podNamespace() (string, error) {
	text, err := os.ReadFile(podNamespaceFile)
	if err != nil {
		return "", throng.AtField(throng.Invalid, "namespace", "is missing, and not known of this pod: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
