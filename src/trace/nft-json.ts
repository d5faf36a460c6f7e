/** JSON as nft prints it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = Readonly<Record<string, Json>>;

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** Unlike Array.isArray it narrows to a readonly array of Json. */
export function isArray(json: Json | undefined): json is readonly Json[] {
  return Array.isArray(json);
}

/** Returns the fields of an object, and none of anything else. */
export function fieldsOf(json: Json | undefined): JsonObject {
  return isObject(json) ? json : {};
}

export function listOf(json: Json): readonly Json[] {
  return isArray(json) ? json : [json];
}

/** Returns '' if it is neither a text nor a number. */
export function textOf(json: Json | undefined): string {
  return typeof json === 'string' || typeof json === 'number' ? String(json) : '';
}

/** Returns the name of an object's only field, and its value. */
export function kindOf(json: JsonObject): readonly [kind: string, body: Json] {
  const [first] = Object.entries(json);
  return first ?? ['', null];
}
