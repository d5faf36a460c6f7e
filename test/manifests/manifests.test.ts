/** manifests/: what the objects name of each other, and of this program, is there; and what rights they give. */
import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { parseCommandLine } from '../../src/cli/command-line';
import { modes } from '../../src/modes/modes';
import { planKernelSettings } from '../../src/machine/kernel-settings';
import type { ProxyConfiguration } from '../../src/config/configuration';
import { effectiveConfiguration } from '../../src/config/effective';
import { buildKustomization, type KubernetesObject } from './kustomize';

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number };
}
interface Container {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly env?: readonly { readonly name: string; readonly valueFrom: object }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly securityContext: unknown;
  readonly resources: { readonly requests: object; readonly limits?: object };
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
}
interface PodSpec {
  readonly serviceAccountName: string;
  readonly initContainers: readonly [Container];
  readonly containers: readonly [Container];
  readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
}

const configFile = '/var/lib/vipwire/config.conf';
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

/** What a command line of ours comes to. Throws where it, or the file, is not understood, or warned of. */
async function configurationOf([, ...args]: readonly string[], file: string): Promise<[string, ProxyConfiguration]> {
  const invocation = parseCommandLine(args);
  if (!('flags' in invocation)) throw new Error(invocation.kind);
  const { configuration, warnings } = await effectiveConfiguration(invocation.flags, (path) => {
    expect(path).toMatch(/^\/(var\/lib|etc)\/vipwire\/config\.conf$/);
    return Promise.resolve(file);
  });
  expect(warnings).toEqual([]);
  return [invocation.kind, configuration];
}

test('manifests/ itself is the overlay of iptables mode', () => {
  expect(buildKustomization('manifests')).toEqual(buildKustomization('manifests/overlays/iptables'));
});

describe.each(['iptables', 'ipvs'] as const)('%s', (mode) => {
  const objects = buildKustomization(`manifests/overlays/${mode}`);
  const find = (kind: string, name = 'vipwire'): KubernetesObject => {
    const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
    if (found === undefined) throw new Error(`no ${kind} ${name}`);
    return found;
  };
  const { template } = find('DaemonSet').spec as { template: { metadata: { labels: object }; spec: PodSpec } };
  const pod = template.spec;
  const [container] = pod.containers;
  const [init] = pod.initContainers;
  const file = find('ConfigMap').data?.['config.conf'] ?? '';

  test('five objects, all in kube-system that are in a namespace, all labelled', () => {
    expect(objects.map(({ kind }) => kind).sort()).toEqual([
      'ClusterRoleBinding',
      'ConfigMap',
      'ConfigMap',
      'DaemonSet',
      'ServiceAccount',
    ]);
    const namespaced = objects.filter(({ kind }) => kind !== 'ClusterRoleBinding');
    expect(new Set(namespaced.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['kube-system']));
    for (const { metadata } of objects) expect(metadata.labels).toEqual({ 'k8s-app': 'vipwire' });
    expect((find('DaemonSet').spec as { selector: unknown }).selector).toEqual({
      matchLabels: template.metadata.labels,
    });
  });

  test('images are of this version', () => {
    expect([init, container].map(({ image }) => image)).toEqual([`vipwire:${version}`, `vipwire:${version}`]);
  });

  test('the ServiceAccount may do what kube-proxy may, and nothing else', () => {
    const binding = find('ClusterRoleBinding', 'vipwire:node-proxier');
    expect(binding['roleRef']).toMatchObject({ kind: 'ClusterRole', name: 'system:node-proxier' });
    expect(binding['subjects']).toEqual([{ kind: 'ServiceAccount', name: 'vipwire', namespace: 'kube-system' }]);
    expect(pod.serviceAccountName).toBe(find('ServiceAccount').metadata.name);
    expect(objects.some(({ kind }) => kind === 'ClusterRole' || kind === 'Role')).toBe(false);
  });

  test('the daemon has two capabilities and a read-only root; what may do everything is gone before it starts', () => {
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(init.securityContext).toEqual({ privileged: true, readOnlyRootFilesystem: true });
  });

  test("the Pod stands on every node, in the node's network, and is not the first to go", () => {
    expect(pod).toMatchObject({
      hostNetwork: true,
      dnsPolicy: 'Default',
      priorityClassName: 'system-node-critical',
      tolerations: [{ operator: 'Exists' }],
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      securityContext: { runAsUser: 0, runAsGroup: 0 },
    });
    for (const { resources } of [init, container]) {
      expect(resources.requests).toEqual({ cpu: '100m', memory: '256Mi' });
      expect(resources.limits).toBeUndefined();
    }
  });

  test('it mounts what there is; the locks of its writes can be written, and nothing else', () => {
    const volumes = new Map(pod.volumes.map((volume) => [volume.name, volume]));
    for (const { volumeMounts } of [init, container])
      for (const { name } of volumeMounts) expect(volumes.has(name)).toBe(true);
    const writable = container.volumeMounts.filter(({ readOnly }) => readOnly !== true);
    expect(writable.map(({ mountPath }) => mountPath)).toEqual(['/run/xtables.lock', '/run/vipwire']);
    for (const { volumeMounts } of [init, container])
      expect(volumeMounts.map(({ mountPath }) => mountPath)).toEqual(
        expect.arrayContaining(['/var/lib/vipwire', '/lib/modules']),
      );
    for (const { configMap } of pod.volumes) if (configMap !== undefined) find('ConfigMap', configMap.name);
  });

  test("it reaches the API server by an address of the operator's, and fails loudly until it is set", () => {
    const names = ['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'];
    const refs = container.env?.filter(({ name }) => names.includes(name)) ?? [];
    expect(refs).toEqual(
      names.map((name) => ({ name, valueFrom: { configMapKeyRef: { name: 'vipwire-api-server', key: name } } })),
    );
    const apiServer = find('ConfigMap', 'vipwire-api-server').data ?? {};
    expect(Object.keys(apiServer).sort()).toEqual(names);
    // A name that never resolves (RFC 2606).
    expect(apiServer['KUBERNETES_SERVICE_HOST']).toMatch(/^set-the-api-server-in-manifests-base-api-server\.invalid$/);
  });

  test('both command lines and the configuration are understood without a warning', async () => {
    for (const { command } of [init, container]) expect(command).toContain(`--config=${configFile}`);
    const [kind, configuration] = await configurationOf(container.command, file);
    expect(kind).toBe('run');
    expect(configuration).toMatchObject({ mode, hostnameOverride: '$(NODE_NAME)' });
    expect((await configurationOf(init.command, file))[0]).toBe('init');
    const port = configuration.healthzBindAddress?.port;
    expect(container.livenessProbe?.httpGet).toEqual({ path: '/livez', port });
    expect(container.readinessProbe?.httpGet).toEqual({ path: '/readyz', port });
    // What the init container cannot set for it is what the kubelet sets.
    const own = planKernelSettings(configuration, modes[configuration.mode], 4).filter(
      (setting) =>
        !planKernelSettings(configuration, modes[configuration.mode], 4, 'init').some(
          ({ path }) => path === setting.path,
        ),
    );
    expect(own).toMatchObject([{ path: '/proc/self/oom_score_adj', value: -997 }]);
  });
});

test('preflight has a command line that it understands', async () => {
  const { patches } = parse(readFileSync('manifests/preflight/kustomization.yaml', 'utf8')) as {
    patches: readonly [{ readonly patch: string }];
  };
  const changes = parse(patches[0].patch) as readonly { readonly path: string; readonly value?: readonly string[] }[];
  const [, , script = ''] = changes.find(({ path }) => path.endsWith('/command'))?.value ?? [];
  const words = script.split('; ')[0]?.split(' ') ?? [];
  const file = readFileSync('manifests/overlays/iptables/config.conf', 'utf8');
  expect((await configurationOf(words, file))[0]).toBe('preflight');
});

describe('the systemd unit', () => {
  const unit = readFileSync('manifests/systemd/vipwire.service', 'utf8');
  const setting = (name: string): string | undefined => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1];

  test('runs what the Pod runs', async () => {
    const start = (setting('ExecStart') ?? '').split(' ');
    const before = (setting('ExecStartPre') ?? '').split(' ');
    const file = readFileSync('manifests/overlays/iptables/config.conf', 'utf8');
    expect((await configurationOf(start, file))[0]).toBe('run');
    expect((await configurationOf(before, file))[0]).toBe('init');
    expect(before[0]).toBe(`+${start[0] ?? ''}`);
  });

  test('with the rights that the Pod has', () => {
    const rights = 'CAP_NET_ADMIN CAP_NET_RAW';
    expect([setting('CapabilityBoundingSet'), setting('AmbientCapabilities')]).toEqual([rights, rights]);
    expect(setting('NoNewPrivileges')).toBe('yes');
    expect(setting('ProtectSystem')).toBe('strict');
    // V8 writes code as it runs.
    expect(setting('MemoryDenyWriteExecute')).toBeUndefined();
  });
});

test('the image is made of files that there are, and starts as kube-proxy too', () => {
  const dockerfile = readFileSync('Dockerfile', 'utf8');
  const copied = [...dockerfile.matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(([, paths = '']) => paths.split(' '));
  expect(copied.length).toBeGreaterThan(4);
  const sent = readFileSync('.dockerignore', 'utf8').split('\n');
  for (const path of copied) {
    expect(existsSync(path)).toBe(true);
    expect(sent).toContain(`!${path}`);
  }
  expect(dockerfile).toContain('/usr/local/bin/kube-proxy');
});
