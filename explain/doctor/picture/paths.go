package picture

const FullPercent = 95 // percent

const FillingPercent = 80

const MaxFile = "/proc/sys/net/netfilter/nf_conntrack_max"

const CountFile = "/proc/sys/net/netfilter/nf_conntrack_count"

const BucketsFile = "/proc/sys/net/netfilter/nf_conntrack_buckets"

const CountersFile = "/proc/net/stat/nf_conntrack"

const MeminfoFile = "/proc/meminfo"

// ConfigDropIns is the directory of drop-ins for the administrator.
const ConfigDropIns = "/etc/ctkeeper/conf.d"
