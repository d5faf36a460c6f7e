/** manifests/: what the objects name of each other, and of this program, is there. */
import { existsSync, readFileSync } from 'node:fs';
import { parse, parseAllDocuments } from 'yaml';
import { parseCommandLine } from '../../src/cli/command-line';
import { effectiveConfiguration } from '../../src/config/effective';

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly env?: readonly { readonly name: string; readonly valueFrom: Readonly<Record<string, KeyRef>> }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly securityContext: unknown;
  readonly livenessProbe?: { readonly httpGet: { readonly path: string; readonly port: number } };
  readonly readinessProbe?: { readonly httpGet: { readonly path: string; readonly port: number } };
}
interface KeyRef {
  readonly name: string;
  readonly key: string;
}
interface PodSpec {
  readonly hostNetwork: boolean;
  readonly serviceAccountName: string;
  readonly priorityClassName: string;
  readonly tolerations: unknown;
  readonly initContainers: readonly [Container];
  readonly containers: readonly [Container];
  readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
}
interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template: { readonly spec: PodSpec } };
  readonly roleRef?: unknown;
  readonly subjects?: unknown;
}

const read = (name: string): string => readFileSync(`manifests/${name}`, 'utf8');
const kustomization = parse(read('kustomization.yaml')) as {
  readonly resources: readonly string[];
  readonly images: readonly { readonly name: string; readonly newTag: string }[];
};
const objects = kustomization.resources.flatMap((name) =>
  parseAllDocuments(read(name)).map((document) => document.toJS() as KubernetesObject),
);

function find(kind: string, name = 'vipwire'): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

const { spec } = find('DaemonSet');
if (spec === undefined) throw new Error('the DaemonSet has no spec');
const pod = spec.template.spec;
const [container] = pod.containers;
const apiServer = find('ConfigMap', 'vipwire-api-server').data ?? {};

describe('kustomization', () => {
  test('makes five objects, all in kube-system that are in a namespace', () => {
    expect(objects.map(({ kind }) => kind).sort()).toEqual([
      'ClusterRoleBinding',
      'ConfigMap',
      'ConfigMap',
      'DaemonSet',
      'ServiceAccount',
    ]);
    const namespaced = objects.filter(({ kind }) => kind !== 'ClusterRoleBinding');
    expect(new Set(namespaced.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['kube-system']));
  });

  test("knows the DaemonSet's image, of this version", () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    const images = [...pod.initContainers, ...pod.containers].map(({ image }) => image);
    expect(images).toEqual([`vipwire:${version}`, `vipwire:${version}`]);
    expect(kustomization.images).toEqual([{ name: 'vipwire', newTag: version }]);
  });
});

describe('rights', () => {
  test('the ServiceAccount may do what kube-proxy may, and nothing else', () => {
    const binding = find('ClusterRoleBinding', 'vipwire:node-proxier');
    expect(binding.roleRef).toMatchObject({ kind: 'ClusterRole', name: 'system:node-proxier' });
    expect(binding.subjects).toEqual([{ kind: 'ServiceAccount', name: 'vipwire', namespace: 'kube-system' }]);
    expect(pod.serviceAccountName).toBe(find('ServiceAccount').metadata.name);
  });

  test('the daemon has two capabilities; what sets sysctls is gone before it starts', () => {
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
    const [settings] = pod.initContainers;
    expect(settings.command.at(-1)).toContain('/proc/sys/net/ipv4/conf/all/route_localnet');
  });
});

describe('the Pod', () => {
  test("stands on every node, in the node's network", () => {
    expect(pod).toMatchObject({
      hostNetwork: true,
      priorityClassName: 'system-node-critical',
      tolerations: [{ operator: 'Exists' }],
      nodeSelector: { 'kubernetes.io/os': 'linux' },
    });
  });

  test('mounts what there is, and its writes have their locks', () => {
    const volumes = new Map(pod.volumes.map((volume) => [volume.name, volume]));
    for (const { volumeMounts } of [...pod.initContainers, ...pod.containers])
      for (const { name } of volumeMounts) expect(volumes.has(name)).toBe(true);
    expect(container.volumeMounts.map(({ mountPath }) => mountPath)).toEqual(
      expect.arrayContaining(['/run/xtables.lock', '/run/vipwire']),
    );
    for (const { configMap } of pod.volumes) if (configMap !== undefined) find('ConfigMap', configMap.name);
  });

  test("reaches the API server by an address of the operator's, and fails loudly until it is set", () => {
    const names = ['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'];
    const refs = container.env?.filter(({ name }) => names.includes(name)) ?? [];
    expect(refs).toEqual(
      names.map((name) => ({ name, valueFrom: { configMapKeyRef: { name: 'vipwire-api-server', key: name } } })),
    );
    expect(Object.keys(apiServer).sort()).toEqual(names);
    // A name that never resolves (RFC 2606).
    expect(apiServer['KUBERNETES_SERVICE_HOST']).toMatch(/manifests-configmap\.invalid$/);
  });

  test('its command line and its configuration are understood without a warning', async () => {
    const [program, ...args] = container.command;
    expect(program).toBe('/usr/local/bin/vipwire');
    const invocation = parseCommandLine(args);
    if (invocation.kind !== 'run') throw new Error(invocation.kind);
    const files = find('ConfigMap').data ?? {};
    const { configuration, warnings } = await effectiveConfiguration(invocation.flags, (path) =>
      Promise.resolve(files[path.replace('/var/lib/vipwire/', '')] ?? ''),
    );
    expect(warnings).toEqual([]);
    expect(configuration).toMatchObject({ mode: 'iptables', hostnameOverride: '$(NODE_NAME)' });
    const port = configuration.healthzBindAddress?.port;
    expect(container.livenessProbe?.httpGet).toEqual({ path: '/livez', port });
    expect(container.readinessProbe?.httpGet).toEqual({ path: '/healthz', port });
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
