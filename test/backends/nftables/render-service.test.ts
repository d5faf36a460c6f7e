import { refuseChain, setNames } from '../../../src/backends/nftables/names';
import { type RenderedService, renderService } from '../../../src/backends/nftables/render-service';
import { sharedChainName } from '../../../src/backends/nftables/shared-chains';
import { families } from '../../../src/model/address';
import { clusterIP, endpoint, everyKind, service, servicePort } from '../../support/plans';

const print = ({ elements }: RenderedService): string[] =>
  elements.map(({ set, key, value }) => `${set} ${key}${value === '' ? '' : ` : ${value}`}`);

test('a plain Service is elements alone', () => {
  const pods = [endpoint('10.244.1.2', 8080, true), endpoint('10.244.2.2'), { ...endpoint('10.244.2.3'), weight: 0 }];
  const plain = service([servicePort('web', { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: pods })]);
  const rendered = renderService(plain);
  expect(print(rendered)).toEqual([
    'vipwire-cluster-ips 10.96.0.10',
    'vipwire-vips 10.96.0.10 . tcp . 80 : goto vipwire-others-pick-2',
    'vipwire-endpoints 10.96.0.10 . tcp . 80 . 0 : 10.244.1.2 . 8080',
    'vipwire-endpoints 10.96.0.10 . tcp . 80 . 1 : 10.244.2.2 . 8080',
    'vipwire-hairpin 10.244.1.2 . 10.244.1.2 . tcp . 8080',
  ]);
  expect(rendered.ownChains.size).toBe(0);
});

describe.each(families)('%s, every kind of Service', (family) => {
  const rendered = everyKind(family).map((one) => renderService(one));

  test('whatever a map leads to is there', () => {
    for (const { elements, sharedChains, ownChains } of rendered) {
      const chains = new Set([refuseChain, ...sharedChains.map(sharedChainName), ...ownChains.keys()]);
      const targets = elements.flatMap(({ value }) => /^goto (.*)/.exec(value)?.[1] ?? []);
      expect(targets.filter((target) => !chains.has(target))).toEqual([]);
    }
  });

  test('a map has an endpoint for every number that a chain may pick', () => {
    let picked = 0;
    for (const { elements, sharedChains } of rendered)
      for (const { set, key, value } of elements) {
        const chain = sharedChains.find((one) => value === `goto ${sharedChainName(one)}`);
        if (chain === undefined) continue;
        picked++;
        const inMap = (map: string): string[] =>
          elements.filter((one) => one.set === map && one.key.startsWith(`${key} . `)).map((one) => one.key);
        const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${key} . ${i}`);
        const isNodePort = set === setNames.nodePorts;
        expect(inMap(isNodePort ? setNames.nodePortEndpoints : setNames.endpoints)).toEqual(numbers(chain.endpoints));
        if (chain.kind === 'local')
          expect(inMap(isNodePort ? setNames.localNodePortEndpoints : setNames.localEndpoints)).toEqual(
            numbers(chain.localEndpoints),
          );
      }
    expect(picked).toBeGreaterThan(10);
  });

  test('no key is in a map twice', () => {
    const keys = rendered.flatMap(({ elements }) => elements.map(({ set, key }) => `${set} ${key}`));
    const shared = [setNames.clusterIPs, setNames.hairpin].map((set) => `${set} `);
    const own = keys.filter((key) => !shared.some((set) => key.startsWith(set)));
    expect(new Set(own).size).toBe(own.length);
  });
});
