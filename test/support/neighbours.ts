/**
 * What other programs keep in iptables on a node, in their own words, as their documentation and listings of nodes show it. Where
 * they name the devices of pods, these are the devices of the lab.
 */

/** A neighbour's tables. */
export interface Neighbour {
  readonly name: string;
  /** Commands that make what its rules need. */
  readonly setUp?: string;
  /** Input of `iptables-restore --noflush`. */
  readonly rules: string;
  /** Jumps that it moves back to the top when they are not there: table, chain, rule. */
  readonly onTop: readonly (readonly [table: string, chain: string, rule: string])[];
}

/** Felix in its iptables mode. Its marks are 0xffff0000, without kube-proxy's 0x4000. What nobody accepts is dropped. */
export const calico: Neighbour = {
  name: 'Calico',
  setUp: `ipset create cali40masq-ipam-pools hash:net
ipset create cali40all-ipam-pools hash:net
ipset add cali40masq-ipam-pools 10.244.0.0/16
ipset add cali40all-ipam-pools 10.244.0.0/16
iptables -P FORWARD DROP`,
  rules: `*raw
:cali-PREROUTING - [0:0]
-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING
-A cali-PREROUTING -m comment --comment "cali:XFX5xbM8B9qR10JG" -j MARK --set-xmark 0x0/0xf0000
-A cali-PREROUTING -i veth+ -m comment --comment "cali:EWMPb0zVROM-woQp" -j MARK --set-xmark 0x40000/0x40000
COMMIT
*mangle
:cali-POSTROUTING - [0:0]
-A POSTROUTING -m comment --comment "cali:O3lYWMrLQYEMJtB5" -j cali-POSTROUTING
-A cali-POSTROUTING -m comment --comment "cali:NX-7roTexQ3fGRfU" -m mark --mark 0x10000/0x10000 -j RETURN
COMMIT
*nat
:cali-POSTROUTING - [0:0]
:cali-nat-outgoing - [0:0]
-A POSTROUTING -m comment --comment "cali:O3lYWMrLQYEMJtB5" -j cali-POSTROUTING
-A cali-POSTROUTING -m comment --comment "cali:nYKhEzDlr11Jccal" -j cali-nat-outgoing
-A cali-nat-outgoing -m comment --comment "cali:flqWnvo8yq4ULQLa" -m set --match-set cali40masq-ipam-pools src -m set ! --match-set cali40all-ipam-pools dst -j MASQUERADE --random-fully
COMMIT
*filter
:cali-FORWARD - [0:0]
:cali-INPUT - [0:0]
:cali-from-wl-dispatch - [0:0]
:cali-to-wl-dispatch - [0:0]
-A INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT
-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m comment --comment "Policy explicitly accepted packet." -m mark --mark 0x10000/0x10000 -j ACCEPT
-A FORWARD -m comment --comment "cali:mp77cMpurHhyjLrM" -j MARK --set-xmark 0x10000/0x10000
-A cali-FORWARD -m comment --comment "cali:vjrMJCRpqwy5oRoX" -j MARK --set-xmark 0x0/0xe0000
-A cali-FORWARD -i veth+ -m comment --comment "cali:8ZoYfO5HKXWbB3pk" -j cali-from-wl-dispatch
-A cali-FORWARD -o veth+ -m comment --comment "cali:jdEuaPBe14V2hutn" -j cali-to-wl-dispatch
-A cali-INPUT -m comment --comment "cali:i7okJZpS8VxaJB3n" -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-from-wl-dispatch -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-from-wl-dispatch -m conntrack --ctstate INVALID -j DROP
-A cali-from-wl-dispatch -m comment --comment "Policy allows it" -j MARK --set-xmark 0x10000/0x10000
-A cali-to-wl-dispatch -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-to-wl-dispatch -m comment --comment "Policy allows it" -j MARK --set-xmark 0x10000/0x10000
COMMIT
`,
  onTop: [
    ['nat', 'POSTROUTING', '-m comment --comment cali:O3lYWMrLQYEMJtB5 -j cali-POSTROUTING'],
    ['filter', 'INPUT', '-m comment --comment cali:Cz_u1IQiXIMmKD4c -j cali-INPUT'],
    ['filter', 'FORWARD', '-m comment --comment cali:wUHhoiAYhphO9Mso -j cali-FORWARD'],
  ],
};

/** Cilium with kube-proxy-replacement false: it forwards packets, and leaves Services to the proxy. Its marks are 0xf00. */
export const cilium: Neighbour = {
  name: 'Cilium, kube-proxy-replacement false',
  setUp: 'iptables -P FORWARD DROP',
  rules: `*raw
:CILIUM_PRE_raw - [0:0]
-A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_raw" -j CILIUM_PRE_raw
-A CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -m comment --comment "cilium: NOTRACK for proxy traffic" -j NOTRACK
COMMIT
*mangle
:CILIUM_PRE_mangle - [0:0]
-A PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_mangle" -j CILIUM_PRE_mangle
-A CILIUM_PRE_mangle -p tcp -m mark --mark 0x200/0xf00 -m comment --comment "cilium: any redirection to proxy" -j RETURN
COMMIT
*nat
:CILIUM_POST_nat - [0:0]
-A POSTROUTING -m comment --comment "cilium-feeder: CILIUM_POST_nat" -j CILIUM_POST_nat
-A CILIUM_POST_nat -s 10.244.1.0/24 ! -d 10.244.0.0/16 ! -o cilium_+ -m comment --comment "cilium masquerade non-cluster" -j MASQUERADE
COMMIT
*filter
:CILIUM_FORWARD - [0:0]
:CILIUM_INPUT - [0:0]
:CILIUM_OUTPUT - [0:0]
-A INPUT -m comment --comment "cilium-feeder: CILIUM_INPUT" -j CILIUM_INPUT
-A FORWARD -m comment --comment "cilium-feeder: CILIUM_FORWARD" -j CILIUM_FORWARD
-A OUTPUT -m comment --comment "cilium-feeder: CILIUM_OUTPUT" -j CILIUM_OUTPUT
-A CILIUM_FORWARD -o veth+ -m comment --comment "cilium: any->cluster on lxc+ forward accept" -j ACCEPT
-A CILIUM_FORWARD -i veth+ -m comment --comment "cilium: cluster->any on lxc+ forward accept" -j ACCEPT
-A CILIUM_INPUT -m mark --mark 0x200/0xf00 -m comment --comment "cilium: ACCEPT for proxy traffic" -j ACCEPT
-A CILIUM_OUTPUT -m mark --mark 0xa00/0xe00 -m comment --comment "cilium: ACCEPT for proxy traffic" -j ACCEPT
-A CILIUM_OUTPUT -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0xd00/0xf00 -m mark ! --mark 0xa00/0xe00 -m comment --comment "cilium: host->any mark as from host" -j MARK --set-xmark 0xc00/0xf00
COMMIT
`,
  onTop: [
    ['nat', 'POSTROUTING', '-m comment --comment "cilium-feeder: CILIUM_POST_nat" -j CILIUM_POST_nat'],
    ['filter', 'FORWARD', '-m comment --comment "cilium-feeder: CILIUM_FORWARD" -j CILIUM_FORWARD'],
    ['filter', 'OUTPUT', '-m comment --comment "cilium-feeder: CILIUM_OUTPUT" -j CILIUM_OUTPUT'],
  ],
};

/** Kubernetes 1.36: a hint in mangle, a canary in each table, and KUBE-FIREWALL, which a proxy shares with it. */
export const kubelet: Neighbour = {
  name: 'the kubelet',
  rules: `*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
*nat
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
COMMIT
`,
  onTop: [],
};

/** flannel with its masquerading, and the portmap plugin with a hostPort. */
export const flannel: Neighbour = {
  name: 'flannel and portmap',
  rules: `*nat
:CNI-DN-3f2a9c51 - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:FLANNEL-POSTRTG - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A CNI-DN-3f2a9c51 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 10.244.1.2:80
-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 9090 -j CNI-DN-3f2a9c51
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
`,
  onTop: [],
};

/** NodeLocal DNSCache beside a proxy in iptables mode: it has the address of the cluster's DNS on a device of its own. */
export function nodeLocalDns(address: string, port: number): Neighbour {
  const lines = ['udp', 'tcp'].flatMap((protocol) => {
    const to = `-d ${address}/32 -p ${protocol} -m ${protocol} --dport ${port}`;
    const from = `-s ${address}/32 -p ${protocol} -m ${protocol} --sport ${port}`;
    const skip = '-m comment --comment "NodeLocal DNS Cache: skip conntrack" -j NOTRACK';
    const allow = '-m comment --comment "NodeLocal DNS Cache: allow DNS traffic" -j ACCEPT';
    return {
      raw: [`-A PREROUTING ${to} ${skip}`, `-A OUTPUT ${from} ${skip}`, `-A OUTPUT ${to} ${skip}`],
      filter: [`-A INPUT ${to} ${allow}`, `-A OUTPUT ${from} ${allow}`],
    };
  });
  const table = (name: 'raw' | 'filter'): string =>
    `*${name}\n${lines.flatMap((line) => line[name]).join('\n')}\nCOMMIT\n`;
  return {
    name: 'NodeLocal DNSCache',
    // Its device is a dummy device, which not every kernel has.
    setUp: `ip link add nodelocaldns type veth peer name unused\nip address add ${address}/32 dev nodelocaldns`,
    rules: table('raw') + table('filter'),
    onTop: [],
  };
}
