from conversation import ConversationError, ConversationManager, DynamoDBStorage, Message


def remember(manager: ConversationManager, user_id: str, text: str) -> tuple[Message, ...]:
    try:
        manager.add_user_message(user_id, text)
        return tuple(manager.get_or_create_conversation(user_id).messages)
    except ConversationError as exc:
        print(f"not stored: {exc}")
        return ()


if __name__ == "__main__":
    for message in remember(ConversationManager(DynamoDBStorage()), "+15551230001", "hello"):
        print(message.role, message.content)
