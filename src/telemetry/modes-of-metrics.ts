/** kube-proxy registers some metrics in some modes only. */

/** The metrics that are read from the kernel's packet counters. */
export const packetMetrics = [
  'kubeproxy_iptables_ct_state_invalid_dropped_packets_total',
  'kubeproxy_iptables_localhost_nodeports_accepted_packets_total',
] as const;

/** The metrics that kube-proxy exposes only in some modes, and those modes. */
export const modesOf: Readonly<Record<string, readonly string[]>> = {
  kubeproxy_sync_full_proxy_rules_duration_seconds: ['iptables', 'nftables'],
  kubeproxy_sync_partial_proxy_rules_duration_seconds: ['iptables', 'nftables'],
  kubeproxy_sync_proxy_rules_iptables_total: ['iptables'],
  kubeproxy_sync_proxy_rules_iptables_last: ['iptables'],
  kubeproxy_sync_proxy_rules_iptables_restore_failures_total: ['iptables', 'ipvs'],
  kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total: ['iptables'],
  kubeproxy_sync_proxy_rules_nftables_sync_failures_total: ['nftables'],
  kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total: ['nftables'],
  kubeproxy_nftables_localhost_nodeport_listeners: ['nftables'],
  kubeproxy_nftables_localhost_nodeport_listener_creation_failures_total: ['nftables'],
  ...Object.fromEntries(packetMetrics.map((name) => [name, ['iptables']])),
};
