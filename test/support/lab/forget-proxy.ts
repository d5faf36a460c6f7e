import type { Lab } from './lab';

const forget = `
for tool in iptables ip6tables; do
  printf '*%s\\nCOMMIT\\n' nat mangle | $tool-restore
  printf '*filter\\n:%s ACCEPT\\n:%s ACCEPT\\n:%s ACCEPT\\nCOMMIT\\n' INPUT FORWARD OUTPUT | $tool-restore
done
ipvsadm -C
ip link delete kube-ipvs0 2>/dev/null || true
ipset destroy
ip address flush dev lo scope global
conntrack -F 2>/dev/null`;

/** Makes the node as it was before a proxy worked there, except for sysctls. It is used on kernels with IPVS, where a new lab takes long. */
export async function forgetProxy(lab: Lab): Promise<void> {
  await lab.run('node', 'sh', ['-e'], forget);
}
