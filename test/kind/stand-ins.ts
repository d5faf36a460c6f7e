/** In the place of docker, kind, kubectl and hydrophone, which need a cluster: scripts that write down how they were called. */
import { execFile } from 'node:child_process';
import { appendFileSync, chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readRecordings } from '../compare/recordings';
import { type Bundle, type Ended, ended } from '../cli/bundle';
import type { TracedMode } from '../../src/trace/rules-kind';

export class StandIns {
  readonly folder: string;
  private readonly calls: string;
  private readonly bin: string;

  /** A folder of its own, beside the bundle. */
  constructor(private readonly bundle: Bundle) {
    this.folder = join(bundle.folder, `cluster-${Math.random()}`);
    this.bin = join(this.folder, 'bin');
    this.calls = join(this.folder, 'calls');
    mkdirSync(this.bin, { recursive: true });
    appendFileSync(this.calls, '');
    for (const name of ['docker', 'kind', 'kubectl', 'hydrophone']) this.set(name, '');
  }

  /** What the command does, in bash, after it has written down its arguments; $FOLDER is ours. */
  set(name: string, script: string): void {
    const file = join(this.bin, name);
    writeFileSync(file, `#!/usr/bin/env bash\nset -e\necho "${name} $*" >>"$FOLDER/calls"\n${script}\n`);
    chmodSync(file, 0o755);
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** What was called since the last time. */
  called(): string[] {
    const lines = readFileSync(this.calls, 'utf8').split('\n').slice(0, -1);
    writeFileSync(this.calls, '');
    return lines.map((line) => line.replaceAll(this.folder, 'FOLDER').replaceAll(/\/tmp\/tmp\.\w+/g, 'TMP'));
  }

  /** A script of scripts/, in the bundle's folder, which has a dist. */
  run(script: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const child = execFile(join(this.bundle.folder, 'scripts', script), args, {
      cwd: this.folder,
      env: { ...process.env, PATH: `${this.bin}:${process.env['PATH'] ?? ''}`, FOLDER: this.folder, ...env },
    });
    return ended(child);
  }

  /** The cluster is a recording's from now on: its one node has these rules, and kube-proxy this mode. */
  holdRecording(mode: TracedMode, name: string, edit: (rules: string) => string = (text) => text): void {
    const recording = readRecordings(mode).find((one) => one.name === name);
    if (recording === undefined) throw new Error(`no recording ${name}`);
    const {
      objects,
      iptablesSave = '',
      ip6tablesSave = '',
      ipvsadm = '',
      ipset = '',
      addresses = '',
      nft = '',
    } = recording;
    this.write('cluster.json', objects);
    this.write('config.conf', `${kubeProxyConfig}mode: ${mode}\n`);
    this.write('addresses', [...nodeAddresses, addresses].join('\n'));
    const tools = { 'iptables-nft-save': edit(iptablesSave), 'ip6tables-nft-save': ip6tablesSave, ipvsadm, ipset, nft };
    for (const tool of ['iptables-legacy-save', 'ip6tables-legacy-save']) this.set(tool, '');
    for (const [tool, text] of Object.entries(tools)) {
      this.write(`${tool}.text`, text);
      this.set(tool, `cat "$FOLDER/${tool}.text"`);
    }
    this.set('kind', 'case "$*" in "get nodes"*) echo node ;; "create cluster"*) cat >"$FOLDER/kind.yaml" ;; esac');
    this.set('docker', 'case "$1 $3" in "run "*) exec bash -s ;; "exec ip") cat "$FOLDER/addresses" ;; esac');
    this.set(
      'kubectl',
      `case "$*" in
        *configmap\\ kube-proxy*) cat "$FOLDER/config.conf" ;;
        "get services,endpointslices,nodes"*) cat "$FOLDER/cluster.json" ;;
        *"get service steady"*) echo 10.96.0.77 ;;
        *exec*) cat >/dev/null ;;
      esac`,
    );
  }
}

const kubeProxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 10.244.0.0/16,fd44::/16
clientConnection:
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
`;

/** As `ip -o address` has them. */
const nodeAddresses = [
  '1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever',
  '2: eth0    inet 192.168.88.10/24 brd 192.168.88.255 scope global eth0\\       valid_lft forever preferred_lft forever',
  '2: eth0    inet6 fd88::10/64 scope global \\       valid_lft forever preferred_lft forever',
  '3: cni0    inet 10.244.1.1/24 scope global cni0\\       valid_lft forever preferred_lft forever',
  '3: cni0    inet6 fd44:1::1/64 scope global \\       valid_lft forever preferred_lft forever',
];

/** As Bundle.make, with scripts/. */
export function addScripts(bundle: Bundle): void {
  cpSync('scripts', join(bundle.folder, 'scripts'), { recursive: true });
  for (const name of ['manifests', 'test']) symlinkSync(resolve(name), join(bundle.folder, name));
}
