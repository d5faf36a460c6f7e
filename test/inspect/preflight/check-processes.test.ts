import { checkProcesses } from '../../../src/inspect/preflight/check-processes';

/** `LEVEL what`, of processes with these command lines; arguments are split at blanks. */
function found(...lines: string[]): string[] {
  const processes = lines.map((line, i) => ({ pid: i + 1, args: line.split(' ') }));
  return checkProcesses(processes).map(({ level, what }) => `${level} ${what}`);
}

test.each<[string, string]>([
  ['/usr/local/bin/kube-proxy --config=/c', 'warn kube-proxy runs here (pid 1)'],
  ['/hyperkube proxy --v=2', 'warn kube-proxy runs here (pid 1)'],
  ['node /usr/local/bin/kube-proxy --config=/c', 'warn vipwire runs here (pid 1)'],
  ['/usr/bin/node /opt/vipwire/vipwire.cjs', 'warn vipwire runs here (pid 1)'],
  [
    'k3s agent --node-ip=10.0.0.1',
    'warn k3s runs here (pid 1) with a kube-proxy inside, unless its configuration says otherwise',
  ],
  ['/snap/microk8s/1/kubelite --scheduler-args-file=x', 'warn kubelite runs here (pid 1) with a kube-proxy inside'],
  ['kube-router --run-router=true', 'fail kube-router runs here (pid 1) as a service proxy'],
  ['cilium-agent --kube-proxy-replacement=true', 'fail cilium-agent runs here (pid 1) instead of kube-proxy'],
  ['cilium-agent --config-dir=/tmp/cilium', 'warn cilium-agent runs here (pid 1)'],
  ['/usr/local/bin/antrea-agent --v=1', 'warn antrea-agent runs here (pid 1)'],
])('%s', (line, finding) => {
  expect(found(line)).toEqual([finding]);
});

test.each([
  'kube-router --run-service-proxy=false',
  'cilium-agent --kube-proxy-replacement=false',
  'k3s agent --disable-kube-proxy',
  'rke2 agent',
  'node /usr/local/bin/vipwire preflight',
  'vim kube-proxy',
  'calico-node -felix',
])('%s is none', (line) => {
  expect(found(line)).toEqual(['ok none among the 1 processes that can be seen from here']);
});

test('k3s has its command line as its name', () => {
  const [finding] = checkProcesses([{ pid: 1, args: ['/usr/local/bin/k3s server'] }]);
  expect(finding?.level).toBe('warn');
});

test('all of them are told', () => {
  expect(found('kube-proxy', 'kube-router', 'sh')).toHaveLength(2);
  expect(found(...Array<string>(30).fill('sh'))).toEqual(['ok none']);
});
