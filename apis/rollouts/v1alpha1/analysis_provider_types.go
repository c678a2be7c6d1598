package v1alpha1

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// MetricProvider is where a value comes from. Exactly one field is set.
type MetricProvider struct {
	// Prometheus runs a PromQL query.
	// +optional
	Prometheus *PrometheusMetric `json:"prometheus,omitempty"`
	// Kayenta asks a Kayenta server to judge.
	// +optional
	Kayenta *KayentaMetric `json:"kayenta,omitempty"`
	// Web sends an HTTP request.
	// +optional
	Web *WebMetric `json:"web,omitempty"`
	// Datadog runs a Datadog query.
	// +optional
	Datadog *DatadogMetric `json:"datadog,omitempty"`
	// Wavefront runs a Wavefront query.
	// +optional
	Wavefront *WavefrontMetric `json:"wavefront,omitempty"`
	// NewRelic runs a New Relic query.
	// +optional
	NewRelic *NewRelicMetric `json:"newRelic,omitempty"`
	// Job runs a Kubernetes Job; it passes when the Job completes.
	// +optional
	Job *JobMetric `json:"job,omitempty"`
	// CloudWatch runs AWS CloudWatch queries.
	// +optional
	CloudWatch *CloudWatchMetric `json:"cloudWatch,omitempty"`
	// Graphite runs a Graphite query.
	// +optional
	Graphite *GraphiteMetric `json:"graphite,omitempty"`
	// Influxdb runs a Flux query.
	// +optional
	Influxdb *InfluxdbMetric `json:"influxdb,omitempty"`
	// SkyWalking runs a SkyWalking GraphQL query.
	// +optional
	SkyWalking *SkyWalkingMetric `json:"skywalking,omitempty"`
	// Plugin holds the configuration of one plugin, by plugin name.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Plugin map[string]json.RawMessage `json:"plugin,omitempty"`
}

// Authentication says how to authenticate to a metric source.
type Authentication struct {
	// Sigv4 signs requests for AWS.
	// +optional
	Sigv4 Sigv4Config `json:"sigv4,omitempty,omitzero"`
	// OAuth2 gets a token with client credentials.
	// +optional
	OAuth2 OAuth2Config `json:"oauth2,omitempty,omitzero"`
	// BasicAuth sends a user name and a password.
	// +optional
	BasicAuth BasicAuthConfig `json:"basicAuth,omitempty,omitzero"`
}

// Sigv4Config signs requests for AWS.
type Sigv4Config struct {
	// Region of the AWS service.
	// +optional
	Region string `json:"region,omitempty"`
	// Profile of the AWS configuration.
	// +optional
	Profile string `json:"profile,omitempty"`
	// RoleARN is the role to assume.
	// +optional
	RoleARN string `json:"roleArn,omitempty"`
}

// OAuth2Config gets a token with client credentials.
type OAuth2Config struct {
	// TokenURL is where the token is requested.
	// +optional
	TokenURL string `json:"tokenUrl,omitempty"`
	// ClientID is the identifier of the client.
	// +optional
	ClientID string `json:"clientId,omitempty"`
	// ClientSecret is the secret of the client.
	// +optional
	ClientSecret string `json:"clientSecret,omitempty"`
	// Scopes to ask for.
	// +optional
	Scopes []string `json:"scopes,omitempty"`
}

// BasicAuthConfig sends a user name and a password.
type BasicAuthConfig struct {
	// Username to send.
	// +optional
	Username string `json:"username,omitempty"`
	// Password to send; usually an argument that is read from a Secret.
	// +optional
	Password string `json:"password,omitempty"`
}

// PrometheusMetric runs a PromQL query.
type PrometheusMetric struct {
	// Address is the URL of the Prometheus server. Default: the environment
	// variable ARGO_ROLLOUTS_PROMETHEUS_ADDRESS of the controller.
	// +optional
	Address string `json:"address,omitempty"`
	// Query is the PromQL expression.
	// +optional
	Query string `json:"query,omitempty"`
	// Authentication to the server; default none.
	// +optional
	Authentication Authentication `json:"authentication,omitempty,omitzero"`
	// Timeout of the query in seconds; default 30.
	// +optional
	Timeout *int64 `json:"timeout,omitempty"`
	// Insecure skips the verification of the server's certificate; default false.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// Headers to send with the query.
	// +optional
	Headers []WebMetricHeader `json:"headers,omitempty"`
	// RangeQuery evaluates the query over a range of time; default is at this moment.
	// +optional
	RangeQuery *PrometheusRangeQueryArgs `json:"rangeQuery,omitempty"`
}

// PrometheusRangeQueryArgs is the range of time of a query.
type PrometheusRangeQueryArgs struct {
	// Start is an expression that gives a time, for example now() - duration("1h").
	// +optional
	Start string `json:"start,omitempty"`
	// End is an expression that gives a time, for example now().
	// +optional
	End string `json:"end,omitempty"`
	// Step between two samples, for example 1m.
	// +optional
	Step DurationString `json:"step,omitempty"`
}

// WebMetricMethod is the method of an HTTP request.
type WebMetricMethod string

// The methods of a web metric.
const (
	WebMetricMethodGet  WebMetricMethod = "GET"
	WebMetricMethodPost WebMetricMethod = "POST"
	WebMetricMethodPut  WebMetricMethod = "PUT"
)

// WebMetric sends an HTTP request.
type WebMetric struct {
	// Method is GET, POST or PUT; default GET.
	// +optional
	Method WebMetricMethod `json:"method,omitempty"`
	// URL to request.
	URL string `json:"url"`
	// Headers to send.
	// +optional
	Headers []WebMetricHeader `json:"headers,omitempty"`
	// Body of the request, as text. Only one of body and jsonBody may be set.
	// +optional
	Body string `json:"body,omitempty"`
	// TimeoutSeconds of the request; default 10.
	// +optional
	TimeoutSeconds int64 `json:"timeoutSeconds,omitempty"`
	// JSONPath selects the value in the reply; default {$}.
	// +optional
	JSONPath string `json:"jsonPath,omitempty"`
	// Insecure skips the verification of the server's certificate; default false.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// JSONBody of the request, as an object.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	JSONBody json.RawMessage `json:"jsonBody,omitempty"`
	// Authentication to the server; default none.
	// +optional
	Authentication Authentication `json:"authentication,omitempty,omitzero"`
}

// WebMetricHeader is an HTTP header.
type WebMetricHeader struct {
	// Key is the name of the header.
	Key string `json:"key"`
	// Value of the header.
	Value string `json:"value"`
}

// DatadogMetric runs a Datadog query.
type DatadogMetric struct {
	// Interval is the width of the time window that is queried; default 5m.
	// +optional
	// +kubebuilder:default="5m"
	Interval DurationString `json:"interval,omitempty"`
	// Query to run.
	// +optional
	Query string `json:"query,omitempty"`
	// Queries to run, by name, for use in formula; only with apiVersion v2.
	// +optional
	Queries map[string]string `json:"queries,omitempty"`
	// Formula combines the queries; only with apiVersion v2.
	// +optional
	Formula string `json:"formula,omitempty"`
	// APIVersion of Datadog: v1 or v2; default v1.
	// +optional
	// +kubebuilder:validation:Enum=v1;v2
	// +kubebuilder:default=v1
	APIVersion string `json:"apiVersion,omitempty"`
	// Aggregator reduces a series to one value; only with apiVersion v2; default last.
	// +optional
	// +kubebuilder:validation:Enum=avg;min;max;sum;last;percentile;mean;l2norm;area
	Aggregator string `json:"aggregator,omitempty"`
	// SecretRef names the Secret with the credentials.
	// +optional
	SecretRef SecretRef `json:"secretRef,omitempty,omitzero"`
	// RequestTimeout is how long a query may take; default 10s.
	// +optional
	// +kubebuilder:default="10s"
	RequestTimeout DurationString `json:"requestTimeout,omitempty"`
}

// SecretRef names a Secret.
type SecretRef struct {
	// Name of the Secret.
	// +optional
	Name string `json:"name,omitempty"`
	// Namespaced reads it in the namespace of the run; default false, the namespace of the controller.
	// +optional
	Namespaced bool `json:"namespaced,omitempty"`
}

// WavefrontMetric runs a Wavefront query.
type WavefrontMetric struct {
	// Address of the Wavefront server.
	// +optional
	Address string `json:"address,omitempty"`
	// Query to run.
	// +optional
	Query string `json:"query,omitempty"`
}

// NewRelicMetric runs a New Relic query.
type NewRelicMetric struct {
	// Profile is the name of the Secret with the credentials; default newrelic.
	// +optional
	Profile string `json:"profile,omitempty"`
	// Query in NRQL.
	Query string `json:"query"`
	// Timeout of the query in seconds; default 5.
	// +optional
	Timeout *int64 `json:"timeout,omitempty"`
}

// GraphiteMetric runs a Graphite query.
type GraphiteMetric struct {
	// Address of the Graphite server.
	// +optional
	Address string `json:"address,omitempty"`
	// Query to run.
	// +optional
	Query string `json:"query,omitempty"`
}

// InfluxdbMetric runs a Flux query.
type InfluxdbMetric struct {
	// Profile is the name of the Secret with the address and the credentials.
	// +optional
	Profile string `json:"profile,omitempty"`
	// Query in Flux.
	// +optional
	Query string `json:"query,omitempty"`
}

// SkyWalkingMetric runs a SkyWalking GraphQL query.
type SkyWalkingMetric struct {
	// Address of the SkyWalking server.
	// +optional
	Address string `json:"address,omitempty"`
	// Query in GraphQL.
	// +optional
	Query string `json:"query,omitempty"`
	// Interval is the width of the time window that is queried.
	// +optional
	Interval DurationString `json:"interval,omitempty"`
}

// CloudWatchMetric runs AWS CloudWatch queries.
type CloudWatchMetric struct {
	// Interval is the width of the time window that is queried; default 5m.
	// +optional
	Interval DurationString `json:"interval,omitempty"`
	// MetricDataQueries to run.
	MetricDataQueries []CloudWatchMetricDataQuery `json:"metricDataQueries"`
}

// CloudWatchMetricDataQuery is one CloudWatch query.
type CloudWatchMetricDataQuery struct {
	// Id of the query.
	// +optional
	Id string `json:"id,omitempty"` //nolint:revive // The name is API.
	// Expression is a math expression over the results of other queries.
	// +optional
	Expression *string `json:"expression,omitempty"`
	// Label of the result.
	// +optional
	Label *string `json:"label,omitempty"`
	// MetricStat is the metric to return.
	// +optional
	MetricStat *CloudWatchMetricStat `json:"metricStat,omitempty"`
	// Period between two samples, in seconds.
	// +optional
	Period *intstr.IntOrString `json:"period,omitempty"`
	// ReturnData is false for a query that only feeds an expression.
	// +optional
	ReturnData *bool `json:"returnData,omitempty"`
}

// CloudWatchMetricStat is a statistic of a metric.
type CloudWatchMetricStat struct {
	// Metric to read.
	// +optional
	Metric CloudWatchMetricStatMetric `json:"metric,omitempty,omitzero"`
	// Period between two samples, in seconds.
	// +optional
	Period intstr.IntOrString `json:"period,omitempty,omitzero"`
	// Stat is the statistic, for example Average.
	// +optional
	Stat string `json:"stat,omitempty"`
	// Unit of the metric.
	// +optional
	Unit string `json:"unit,omitempty"`
}

// CloudWatchMetricStatMetric names a metric.
type CloudWatchMetricStatMetric struct {
	// Dimensions of the metric.
	// +optional
	Dimensions []CloudWatchMetricStatMetricDimension `json:"dimensions,omitempty"`
	// MetricName is the name of the metric.
	// +optional
	MetricName string `json:"metricName,omitempty"`
	// Namespace of the metric; optional.
	// +optional
	Namespace *string `json:"namespace,omitempty"`
}

// CloudWatchMetricStatMetricDimension is a name and value of a dimension.
type CloudWatchMetricStatMetricDimension struct {
	// Name of the dimension.
	// +optional
	Name string `json:"name,omitempty"`
	// Value of the dimension.
	// +optional
	Value string `json:"value,omitempty"`
}

// KayentaMetric asks a Kayenta server to judge.
type KayentaMetric struct {
	// Address of the Kayenta server.
	Address string `json:"address"`
	// Application name in Kayenta.
	Application string `json:"application"`
	// CanaryConfigName is the name of the canary configuration.
	CanaryConfigName string `json:"canaryConfigName"`
	// MetricsAccountName is the account of the metric store.
	MetricsAccountName string `json:"metricsAccountName"`
	// ConfigurationAccountName is the account of the configuration store.
	ConfigurationAccountName string `json:"configurationAccountName"`
	// StorageAccountName is the account of the result store.
	StorageAccountName string `json:"storageAccountName"`
	// Threshold of the score.
	Threshold KayentaThreshold `json:"threshold"`
	// Scopes to compare.
	Scopes []KayentaScope `json:"scopes"`
	// Lookback judges from the start of the run every time; default false.
	// +optional
	Lookback bool `json:"lookback,omitempty"`
}

// KayentaThreshold is the score to reach, 0 to 100.
type KayentaThreshold struct {
	// Pass is the score from which the measurement is good.
	Pass int64 `json:"pass"`
	// Marginal is the score below which the measurement is bad.
	Marginal int64 `json:"marginal"`
}

// KayentaScope is what to compare.
type KayentaScope struct {
	// Name of the scope.
	Name string `json:"name"`
	// ControlScope is the stable side.
	ControlScope ScopeDetail `json:"controlScope"`
	// ExperimentScope is the canary side.
	ExperimentScope ScopeDetail `json:"experimentScope"`
}

// ScopeDetail is one side of a comparison.
type ScopeDetail struct {
	// Scope in the metric store.
	Scope string `json:"scope"`
	// Region in the metric store.
	Region string `json:"region"`
	// Step between two samples, in seconds.
	Step int64 `json:"step"`
	// Start of the comparison.
	// +optional
	Start string `json:"start,omitempty"`
	// End of the comparison.
	// +optional
	End string `json:"end,omitempty"`
}
