import fc from 'fast-check';
import { Claims } from '../../src/planner/claims';
import type { ServiceKey } from '../../src/model/cluster';

const keys = ['default/a', 'default/b', 'shop/a'] as ServiceKey[];

test('the smallest of those who want a virtual server has it, whoever came first', () => {
  const stepArb = fc.record({ server: fc.constantFrom('one', 'two'), key: fc.constantFrom(...keys) });
  fc.assert(
    fc.property(fc.array(stepArb), (steps) => {
      const claims = new Claims();
      const wanting = new Map<string, Set<ServiceKey>>();
      for (const { server, key } of steps) {
        const wants = wanting.get(server) ?? new Set<ServiceKey>();
        wanting.set(server, wants);
        if (wants.delete(key)) claims.remove(server, key);
        else {
          wants.add(key);
          claims.add(server, key);
        }
        // Once more does no harm.
        if (wants.has(key)) claims.add(server, key);
        expect(claims.ownerOf(server)).toBe([...wants].sort()[0]);
      }
    }),
  );
});
