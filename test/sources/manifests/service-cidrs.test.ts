import { parseManifests } from '../../../src/sources/manifests/parse-manifests';

const parse = (text: string): ReturnType<typeof parseManifests> => parseManifests(text, 'shop.yaml');

test('a ServiceCIDR has no namespace, and what is not a CIDR is left out', () => {
  const head = 'apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: kubernetes}\n';
  expect(parse(`${head}spec: {cidrs: [10.96.1.2/16, 'FD96:0::/112', 10.96.0.1]}`)).toEqual({
    objects: [
      {
        id: 'ServiceCIDR kubernetes',
        sets: [
          { op: 'set', object: { kind: 'ServiceCIDR', name: 'kubernetes', cidrs: ['10.96.0.0/16', 'fd96::/112'] } },
        ],
        deletion: { op: 'delete', kind: 'ServiceCIDR', namespace: '', name: 'kubernetes' },
      },
    ],
    warnings: [
      {
        object: 'ServiceCIDR kubernetes',
        kind: 'bad-cidr',
        message: 'spec.cidrs: "10.96.0.1" is not a CIDR: left out (shop.yaml)',
      },
    ],
    errors: [],
  });
  const { warnings } = parse(`${head}spec: {cidrs: 10.96.0.0/16}`);
  expect(warnings.map(({ message }) => message)).toEqual(['spec.cidrs: want a list, got "10.96.0.0/16" (shop.yaml)']);
});
