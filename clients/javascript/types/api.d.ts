// The bodies of the REST API. Made from the OpenAPI document by `task docs`: do not edit.

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Accepted {
  ids: string[];
}

export interface Archived {
  /** A sentence that says what was done. */
  message: string;
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
}

export interface ChangeList {
  data: (Item | Tombstone)[];
  meta: ChangesMeta;
}

export interface ChangesMeta {
  /**
   * An opaque string for the position in the inbox up to which the response is complete. To receive only what comes
   * after this position, pass the string as `since` to `GET /api/v2/notifications/changes`, or as `cursor` when you
   * connect to a WebSocket or an event stream.
   */
  cursor: string;
  more: boolean;
  gap: boolean;
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
  seen?: WatermarkMoved;
}

export interface Cleared {
  /** A sentence that says what was done. */
  message: string;
  /** The number of notifications that were archived. */
  archived: number;
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
}

export interface DeadLetterList {
  data: DeadLetterOut[];
  meta: DeadLetterListMeta;
}

export interface DeadLetterListMeta {
  /** Pass this as `cursor` in the next request; null if no items remain. */
  next_cursor: string | null;
  total: number;
}

export interface DeadLetterOut {
  id: string;
  kept_at: string;
  /** How many times the event was received and failed. */
  times: number;
  /** The topic or routing key of the event. */
  source: string;
  event_id: string;
  /**
   * Why the event could not be processed, as a stable code: no_route, no_recipient, bad_recipient,
   * too_many_recipients, fanout_too_large, too_many_addresses, not_json, not_an_object, not_utf8, bad_encoding,
   * too_large, tombstone, unstorable_text, refused_by_store, store_timeout, internal. Later versions may add others.
   */
  reason: string;
  /** Why the event could not be processed, as a sentence. */
  detail: string;
  /** The size of the event's body in bytes. */
  size: number;
}

export interface DeadLetterWithMessage {
  id: string;
  kept_at: string;
  /** How many times the event was received and failed. */
  times: number;
  /** The topic or routing key of the event. */
  source: string;
  event_id: string;
  /**
   * Why the event could not be processed, as a stable code: no_route, no_recipient, bad_recipient,
   * too_many_recipients, fanout_too_large, too_many_addresses, not_json, not_an_object, not_utf8, bad_encoding,
   * too_large, tombstone, unstorable_text, refused_by_store, store_timeout, internal. Later versions may add others.
   */
  reason: string;
  /** Why the event could not be processed, as a sentence. */
  detail: string;
  /** The size of the event's body in bytes. */
  size: number;
  /** The timestamp that the broker gave the message. */
  time: string;
  key: string | null;
  headers: { [name: string]: string };
  /** The body in Base64; null if the message has no body. */
  body_base64: string | null;
  /** The body as text; null if the message has no body, or if the body is not UTF-8. */
  body_text: string | null;
}

export interface DeliveryItem {
  id: string;
  /**
   * The number of the order that the delivery is about: the value of the payload field that the route names as
   * `reference`.
   */
  order_id: string | null;
  /** The e-mail address. Without the scope `admin` it is masked. */
  recipient: string;
  /** The type of the notification. */
  type: string;
  /** The topic or routing key of the event. */
  event: string;
  event_id: string;
  /** The subject of the mail; null if the event lacks a field that the subject contains. */
  subject: string | null;
  template: string;
  /** The user whose preferences apply; null if the route names no user. */
  user_id: string | null;
  /** One of `pending`, `sent`, `failed`, `skipped`. Later versions may add values. */
  status: string;
  /** Why the delivery failed or was skipped; if it is pending, the error of its last attempt. */
  error_message: string | null;
  created_at: string;
  updated_at: string;
  sent_at: string | null;
  /** The time of the next attempt; null unless `status` is `pending`. */
  next_attempt_at: string | null;
  /** The number of attempts to send the delivery so far. */
  attempts: number;
}

export interface DeliveryList {
  items: DeliveryItem[];
  /** The number of deliveries on all pages; null if the request has a `cursor`. */
  total: number | null;
  /** The page number; null if the request has a `cursor`. */
  page: number | null;
  page_size: number;
  /** Pass this as `cursor` in the next request; null on the last page. */
  next_cursor: string | null;
}

export interface DeliveryWithAttempts {
  id: string;
  /**
   * The number of the order that the delivery is about: the value of the payload field that the route names as
   * `reference`.
   */
  order_id: string | null;
  /** The e-mail address. Without the scope `admin` it is masked. */
  recipient: string;
  /** The type of the notification. */
  type: string;
  /** The topic or routing key of the event. */
  event: string;
  event_id: string;
  /** The subject of the mail; null if the event lacks a field that the subject contains. */
  subject: string | null;
  template: string;
  /** The user whose preferences apply; null if the route names no user. */
  user_id: string | null;
  /** One of `pending`, `sent`, `failed`, `skipped`. Later versions may add values. */
  status: string;
  /** Why the delivery failed or was skipped; if it is pending, the error of its last attempt. */
  error_message: string | null;
  created_at: string;
  updated_at: string;
  sent_at: string | null;
  /** The time of the next attempt; null unless `status` is `pending`. */
  next_attempt_at: string | null;
  /** The number of attempts to send the delivery so far. */
  attempts: number;
  attempt_log: LoggedAttempt[];
}

export interface Dropped {
  /** The number of dead letters that were deleted. */
  dropped: number;
  /** Pass this as `cursor` in the next request; null if no items remain. */
  next_cursor: string | null;
}

export interface FailedReplay {
  id: string;
  reason: string;
  detail: string;
}

export interface FieldProblem {
  field: string;
  reason: string;
}

export interface Item {
  /** The notification's id, a UUIDv7. */
  id: string;
  /**
   * The position in the inbox of the notification's latest arrival. It may grow, and never becomes smaller. Lists are
   * sorted by `seq`, highest first.
   */
  seq: number;
  /**
   * The position in the inbox of the notification's last change. If the notification has not changed since it arrived,
   * this is equal to `seq`.
   */
  changed: number;
  /** The id of the event. */
  event_id: string;
  /** The user to whom the notification is addressed. */
  user_id: string;
  title: string;
  message: string;
  /**
   * The address that the notification links to: an http or https URL, or a path that begins with a slash, of the site
   * that shows the notification; null if it links to nothing.
   */
  url: string | null;
  /** The type of the notification. Users can mute types. */
  notification_type: string;
  /** The type that the publisher gave the event; null if none. */
  event_type: string | null;
  /** The topic or routing key of the event. */
  source: string;
  /**
   * The payload of the event, without the fields that its route omits: any JSON value, or a string if the payload was
   * not JSON. If the payload is wrapped, as in `{"event_type": …, "data": …}`, only its `data`, unless the route's
   * `envelope` is `raw` or `flat`.
   */
  data: Json;
  is_read: boolean;
  is_archived: boolean;
  /**
   * True if the notification was stored, but not sent to connected clients, because the user had muted its type or
   * switched off `websocket_notifications`.
   */
  is_muted: boolean;
  /** When the event happened, according to its publisher or broker. */
  time: string;
  /** When the notification was stored. */
  created_at: string;
  /** When the notification was last changed. */
  updated_at: string;
  /** When the notification was read; null if it is unread. */
  read_at: string | null;
}

export interface ListMeta {
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
  /**
   * The watermark of the inbox: the position up to which the user has seen the notifications; 0 if the user has seen
   * none.
   */
  seen_seq: number;
  /** Pass this as `cursor` in the next request, to list older items; null on the last page. */
  next_cursor: string | null;
  /**
   * An opaque string for the position in the inbox up to which the response is complete. To receive only what comes
   * after this position, pass the string as `since` to `GET /api/v2/notifications/changes`, or as `cursor` when you
   * connect to a WebSocket or an event stream.
   */
  cursor: string;
  page?: number;
  size?: number;
  /** The number of notifications on all pages. */
  total?: number;
}

export interface LoggedAttempt {
  at: string;
  /** The duration of the attempt in seconds. */
  seconds: number;
  /**
   * `sent`: the mail server accepted the mail. `deferred`: the attempt failed for a temporary reason, such as a
   * timeout; the delivery is tried again. `refused`: the mail server rejected the mail permanently, or the mail could
   * not be rendered. `server`: the mail server was unavailable or refused the connection. Later versions may add
   * values.
   */
  result: string;
  /** The mail server's reply code. */
  code: number | null;
  /** The mail server's reply, or a description of the error. */
  text: string;
}

export interface MailItem {
  /** The id of the mail, which is the id of its delivery. */
  id: string;
  to: string;
  subject: string;
  /** When the delivery was created. */
  date: string;
}

export interface MailList {
  items: MailItem[];
}

export interface MarkedItem {
  /** The notification's id, a UUIDv7. */
  id: string;
  /**
   * The position in the inbox of the notification's latest arrival. It may grow, and never becomes smaller. Lists are
   * sorted by `seq`, highest first.
   */
  seq: number;
  /**
   * The position in the inbox of the notification's last change. If the notification has not changed since it arrived,
   * this is equal to `seq`.
   */
  changed: number;
  /** The id of the event. */
  event_id: string;
  /** The user to whom the notification is addressed. */
  user_id: string;
  title: string;
  message: string;
  /**
   * The address that the notification links to: an http or https URL, or a path that begins with a slash, of the site
   * that shows the notification; null if it links to nothing.
   */
  url: string | null;
  /** The type of the notification. Users can mute types. */
  notification_type: string;
  /** The type that the publisher gave the event; null if none. */
  event_type: string | null;
  /** The topic or routing key of the event. */
  source: string;
  /**
   * The payload of the event, without the fields that its route omits: any JSON value, or a string if the payload was
   * not JSON. If the payload is wrapped, as in `{"event_type": …, "data": …}`, only its `data`, unless the route's
   * `envelope` is `raw` or `flat`.
   */
  data: Json;
  is_read: boolean;
  is_archived: boolean;
  /**
   * True if the notification was stored, but not sent to connected clients, because the user had muted its type or
   * switched off `websocket_notifications`.
   */
  is_muted: boolean;
  /** When the event happened, according to its publisher or broker. */
  time: string;
  /** When the notification was stored. */
  created_at: string;
  /** When the notification was last changed. */
  updated_at: string;
  /** When the notification was read; null if it is unread. */
  read_at: string | null;
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
}

export interface MarkedRead {
  /** A sentence that says what was done. */
  message: string;
  /** The number of notifications that were unread, and are now marked as read. */
  marked: number;
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
}

export interface MarkedSeen {
  /** A sentence that says what was done. */
  message: string;
  /**
   * The watermark of the inbox: the position up to which the user has seen the notifications; 0 if the user has seen
   * none.
   */
  seen_seq: number;
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
}

export interface NotificationList {
  data: Item[];
  meta: ListMeta;
}

export interface PreferencesOut {
  user_id: string;
  email_notifications: boolean;
  push_notifications: boolean;
  websocket_notifications: boolean;
  /**
   * The muted types: notifications of these types are stored in the inbox as read, and are sent neither to connected
   * clients nor by e-mail.
   */
  muted_types: string[];
  /** When the preferences were last changed; null if they have never been set. */
  updated_at: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail?: string;
  field?: string | null;
  errors?: FieldProblem[];
  delivery_status?: string | null;
  trace_id?: string | null;
}

export interface Replayed {
  /** The ids of the dead letters whose events were processed; these dead letters are removed. */
  replayed: string[];
  failed: FailedReplay[];
  /** Pass this as `cursor` in the next request; null if no items remain. */
  next_cursor: string | null;
}

export interface Tombstone {
  id: string;
  seq: number;
  changed: number;
  event_id: string;
  is_archived?: true;
}

export interface TypeList {
  data: TypeOut[];
}

export interface TypeOut {
  /** The type: the `notification_type` of notifications, and the value in `muted_types`. */
  type: string;
  /**
   * The name of the type for users: plain text in one line, never HTML. If no profile declares a title, it is made
   * from the type.
   */
  title: string;
  /** The profiles whose routes lead to the type. */
  profiles: string[];
}

export interface UnreadCount {
  /** The number of notifications in the inbox that are neither read nor archived. */
  unread_count: number;
  /**
   * The number of unread notifications in the inbox that have arrived after the watermark, which `PUT
   * /api/v2/notifications/seen` moves.
   */
  unseen_count: number;
  by_type?: { [name: string]: number };
}

export interface WatermarkMoved {
  stream: string;
  seq: number;
  changed: number;
  unseen: number;
}
