// The packets and the rules of the connection, as /schema/asyncapi.json has them.

const DOCUMENT = "/schema/asyncapi.json";

/** Fetches the document. */
export async function loadContract() {
  const response = await fetch(DOCUMENT);
  if (!response.ok) throw new Error(`${DOCUMENT} answered ${response.status}`);
  return new Contract(await response.json());
}

class Contract {
  #document;

  constructor(document) {
    this.#document = document;
    this.title = document.info.title;
    this.packets = this.#packets();
    this.names = new Map();
    for (const message of Object.values(document.components.messages)) {
      if ("x-pkg-id" in message) this.names.set(message["x-pkg-id"], message.name);
    }
    this.roles = new Set(this.packets.flatMap((packet) => rolesOf(packet.rule)));
    this.statusNames = new Map(document["x-status-codes"].map((status) => [status.code, status.name]));
    this.closeCodes = new Map(document["x-close-codes"].map((verdict) => [verdict.code, verdict]));
    const keycloak = document.components.securitySchemes.keycloak;
    this.signIn = {
      discoveryUrl: keycloak.openIdConnectUrl,
      clientId: keycloak["x-client-id"],
      scope: keycloak.scopes.join(" "),
    };
  }

  /**
   * The address of the socket: where the document says, else the page's own host. Also from a page that may not go there:
   * a policy cannot name an IPv6 address, and a page of TLS opens no plain socket.
   */
  socketUrl(page) {
    const url = new URL(this.#document.channels.packets.address, page);
    const [server] = Object.values(this.#document.servers);
    const host = server.host.replace("{host}", url.host).replace("{name}", url.hostname);
    const isAllowed = !host.startsWith("[") && (server.protocol === "wss" || url.protocol === "http:");
    const origin = isAllowed && !server.variables?.host ? `${server.protocol}://${host}` : url.origin.replace("http", "ws");
    return new URL(url.pathname, origin);
  }

  #packets() {
    return Object.values(this.#document.operations)
      .filter((operation) => operation.action === "receive")
      .map((operation) => {
        const channelMessage = this.#resolve(operation.messages[0]);
        const message = this.#resolve(channelMessage);
        return {
          pkgId: message["x-pkg-id"],
          name: message.name,
          summary: operation.summary,
          group: operation.tags[0].name,
          rule: operation["x-rule"],
          isDeprecated: operation["x-deprecated"] === true,
          example: message.examples[0].payload.data,
          members: this.#members(message.payload.properties.data),
        };
      })
      .sort((a, b) => (a.pkgId < 0) - (b.pkgId < 0) || Math.abs(a.pkgId) - Math.abs(b.pkgId));
  }

  #resolve(value) {
    let found = value;
    while (found?.$ref) {
      found = found.$ref
        .slice(2)
        .split("/")
        .reduce((node, key) => node[key.replaceAll("~1", "/").replaceAll("~0", "~")], this.#document);
    }
    return found;
  }

  #members(data) {
    const schema = this.#resolve(data.anyOf ? data.anyOf[0] : data);
    return Object.entries(schema.properties ?? {}).map(([name, declared]) => {
      const member = { ...this.#resolve(declared), ...declared };
      const required = schema.required?.includes(name) ? "required" : "optional";
      return { name, says: [required, this.#typeOf(member), limitsOf(member), member.description].filter(Boolean).join(", ") };
    });
  }

  #typeOf(schema) {
    const resolved = this.#resolve(schema);
    if (resolved.anyOf) return resolved.anyOf.map((each) => this.#typeOf(each)).join(" or ");
    if (resolved.enum) return `one of ${resolved.enum.map((each) => JSON.stringify(each)).join(", ")}`;
    if (resolved.type === "array") return `list of ${this.#typeOf(resolved.items ?? {})}`;
    return resolved.format ?? resolved.type ?? "anything";
  }
}

function limitsOf({ minimum, maximum, minLength, maxLength }) {
  const low = minimum ?? minLength;
  const high = maximum ?? maxLength;
  const unit = minLength ?? maxLength ? " characters" : "";
  if (high !== undefined && high < Number.MAX_SAFE_INTEGER) return `${low ?? 0} to ${high}${unit}`;
  return low === undefined ? "" : `at least ${low}${unit}`;
}

function rolesOf(rule) {
  if (rule === null || rule === "authenticated" || rule === "public") return [];
  return typeof rule === "string" ? [rule] : (rule.any ?? rule);
}

/** Whether a rule of actions.json lets a user with these roles through. */
export function allows(rule, roles) {
  if (rule === null) return false;
  if (rule.any) return rule.any.some((role) => roles.includes(role));
  return rolesOf(rule).every((role) => roles.includes(role));
}

/** A rule in words. */
export function ruleInWords(rule) {
  if (rule === null) return "nobody";
  if (rule === "authenticated") return "everyone who is signed in";
  if (rule === "public") return "everyone";
  return rule.any ? `role ${rule.any.join(" or ")}` : `role ${rolesOf(rule).join(" and ")}`;
}
