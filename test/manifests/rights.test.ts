/** The ClusterRole that the manifests bind has every right that this program asks for. */
import { readFileSync } from 'node:fs';
import {
  eventPermissions,
  neededPermissions,
  nodePermissions,
  serviceCIDRPermissions,
} from '../../src/sources/kubernetes/access-review';

/** `list networking.k8s.io/servicecidrs`, as the comment in rbac.yaml has them of system:node-proxier. */
function rightsOfRole(): ReadonlySet<string> {
  const lines = readFileSync('manifests/base/rbac.yaml', 'utf8').split('\n');
  return new Set(
    lines.flatMap((line) => {
      const [, resources = '', verbs = ''] = /^# {3}(\S.*\S) {2,}(\S.*)$/.exec(line) ?? [];
      return resources.split(', ').flatMap((resource) => verbs.split(', ').map((verb) => `${verb} ${resource}`));
    }),
  );
}

test('every permission is among the rights of system:node-proxier', () => {
  const asked = [...neededPermissions, ...nodePermissions, ...eventPermissions, ...serviceCIDRPermissions];
  const texts = asked.map(({ group, resource, verb }) => `${verb} ${group === '' ? '' : `${group}/`}${resource}`);
  expect(rightsOfRole()).toEqual(new Set([...rightsOfRole(), ...texts]));
  expect(texts).toContain('watch networking.k8s.io/servicecidrs');
});
